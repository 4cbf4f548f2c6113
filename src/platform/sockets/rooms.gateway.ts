import {
  ConnectedSocket,
  MessageBody,
  type OnGatewayConnection,
  type OnGatewayInit,
  SubscribeMessage,
} from '@nestjs/websockets';
import type { Server, Socket } from 'socket.io';
import { Access } from '../access/access.decorator.js';
import { NotAllowed } from '../access/access.errors.js';
import { actingAgent } from '../access/own-agent.js';
import { Role } from '../access/principal.js';
import { scopeOf } from '../access/socket-principal.js';
import { Environment } from '../config/environment.js';
import { decodePosition, encodePosition } from '../events/position.js';
import { EventTail } from '../events/event-tail.js';
import { AuthenticateMessage } from './authenticate.message.js';
import { JoinRoomMessage, RoomMessageDto } from './join-room.message.js';
import { RealtimeGateway } from './realtime-gateway.decorator.js';
import { type Gap, RoomReplay } from './room-replay.js';
import { heardIn, Rooms } from './rooms.js';
import { SlowReaders } from './slow-readers.js';
import { SocketAccess } from './socket-access.js';
import { answerUnknownMessages } from './unknown-messages.js';

interface RoomState {
  room: string;
  members: number;
  position: string;
}

/** To an agent only its own room is open; whose it is, the domain finds out. */
function assertRoomOfAgent(name: string): void {
  if (actingAgent() === undefined || name.startsWith('agent:')) return;
  throw new NotAllowed(`The role ${Role.Agent} hears of itself only, in agent: and its id or key`);
}

/** Lets sockets in and out of rooms. */
@RealtimeGateway()
export class RoomsGateway implements OnGatewayInit<Server>, OnGatewayConnection<Socket> {
  private server: Server;

  constructor(
    private readonly rooms: Rooms,
    private readonly replay: RoomReplay,
    private readonly tail: EventTail,
    private readonly slowReaders: SlowReaders,
    private readonly environment: Environment,
    private readonly access: SocketAccess,
  ) {}

  handleConnection(socket: Socket): void {
    answerUnknownMessages(socket, this.environment.SOCKET_MESSAGES_PER_SECOND);
  }

  afterInit(server: Server): void {
    this.server = server;
    this.rooms.attach(server);
    this.slowReaders.watch(server);
    this.access.guard(server);
  }

  @SubscribeMessage('join_room')
  @Access(Role.Viewer, Role.Agent)
  async join(
    @ConnectedSocket() socket: Socket,
    @MessageBody() { room: name, since }: JoinRoomMessage,
  ): Promise<RoomState | (Gap & { room: string })> {
    assertRoomOfAgent(name);
    const from = since === undefined ? undefined : decodePosition(since, '/since');
    const { room, result } = await this.replay.join(socket, name, from);
    return 'gap' in result ? { room, ...result } : this.describe(socket, room, encodePosition(result));
  }

  @SubscribeMessage('leave_room')
  @Access(Role.Viewer, Role.Agent)
  async leave(@ConnectedSocket() socket: Socket, @MessageBody() { room: name }: RoomMessageDto): Promise<RoomState> {
    const room = await this.replay.leave(socket, name);
    return this.describe(socket, room, encodePosition(this.tail.position));
  }

  @SubscribeMessage('ping')
  @Access(Role.Viewer, Role.Agent)
  ping(): { timestamp: Date } {
    return { timestamp: new Date() };
  }

  /** Before the credential of the socket ends; with AUTH_MODE=off it is not looked at. */
  @SubscribeMessage('authenticate')
  @Access(Role.Viewer, Role.Agent)
  async authenticate(
    @ConnectedSocket() socket: Socket,
    @MessageBody() { token }: AuthenticateMessage,
  ): Promise<{ role: Role | null; expires_at: Date | null }> {
    const principal = await this.access.renew(socket, token);
    return { role: principal?.role ?? null, expires_at: principal?.expires_at ?? null };
  }

  /** Members are those who hear the same: others are nobody's business. */
  private describe(socket: Socket, room: string, position: string): RoomState {
    const [own] = heardIn(room, scopeOf(socket));
    return { room, members: this.server.sockets.adapter.rooms.get(own)?.size ?? 0, position };
  }
}
