import { ConnectedSocket, MessageBody, type OnGatewayInit, SubscribeMessage } from '@nestjs/websockets';
import type { Server, Socket } from 'socket.io';
import { decodePosition, encodePosition } from '../events/position.js';
import { EventTail } from '../events/event-tail.js';
import { JoinRoomMessage, RoomMessageDto } from './join-room.message.js';
import { RealtimeGateway } from './realtime-gateway.decorator.js';
import { type Gap, RoomReplay } from './room-replay.js';
import { Rooms } from './rooms.js';
import { SlowReaders } from './slow-readers.js';

interface RoomState {
  room: string;
  members: number;
  position: string;
}

/** Lets sockets in and out of rooms. */
@RealtimeGateway()
export class RoomsGateway implements OnGatewayInit<Server> {
  private server: Server;

  constructor(
    private readonly rooms: Rooms,
    private readonly replay: RoomReplay,
    private readonly tail: EventTail,
    private readonly slowReaders: SlowReaders,
  ) {}

  afterInit(server: Server): void {
    this.server = server;
    this.rooms.attach(server);
    this.slowReaders.watch(server);
  }

  @SubscribeMessage('join_room')
  async join(
    @ConnectedSocket() socket: Socket,
    @MessageBody() { room, since }: JoinRoomMessage,
  ): Promise<RoomState | (Gap & { room: string })> {
    const result = await this.replay.join(
      socket,
      room,
      since === undefined ? undefined : decodePosition(since, '/since'),
    );
    return 'gap' in result ? { room, ...result } : this.describe(room, encodePosition(result));
  }

  @SubscribeMessage('leave_room')
  async leave(@ConnectedSocket() socket: Socket, @MessageBody() { room }: RoomMessageDto): Promise<RoomState> {
    await this.replay.leave(socket, room);
    return this.describe(room, encodePosition(this.tail.position));
  }

  @SubscribeMessage('ping')
  ping(): { timestamp: Date } {
    return { timestamp: new Date() };
  }

  private describe(room: string, position: string): RoomState {
    return { room, members: this.server.sockets.adapter.rooms.get(room)?.size ?? 0, position };
  }
}
