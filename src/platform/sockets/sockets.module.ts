import { Global, Module } from '@nestjs/common';
import { RoomReplay } from './room-replay.js';
import { Rooms } from './rooms.js';
import { RoomsGateway } from './rooms.gateway.js';
import { SlowReaders } from './slow-readers.js';
import { SocketAccess } from './socket-access.js';

@Global()
@Module({ providers: [Rooms, RoomReplay, RoomsGateway, SlowReaders, SocketAccess], exports: [Rooms] })
export class SocketsModule {}
