import { Injectable, Logger, type OnModuleDestroy } from '@nestjs/common';
import type { Server, Socket } from 'socket.io';
import { Environment } from '../config/environment.js';

const CHECK_EVERY_MS = 250;

/** The parts of engine.io's connection that tell how much waits for a client. */
interface Connection {
  writeBuffer?: { data?: unknown }[];
  transport?: { socket?: { bufferedAmount?: number; terminate?: () => void; _socket?: { writableLength: number } } };
}

const connectionOf = (socket: Socket): Connection => socket.conn as unknown as Connection;

/** Bytes that the server holds because the client has not read them. */
export function waitingBytes(socket: Socket): number {
  const { writeBuffer = [], transport } = connectionOf(socket);
  const queued = writeBuffer.reduce((sum, { data }) => sum + (typeof data === 'string' ? data.length : 64), 0);
  return queued + (transport?.socket?.bufferedAmount ?? 0);
}

/** Disconnects clients that do not read, so that they cannot fill the server's memory. */
@Injectable()
export class SlowReaders implements OnModuleDestroy {
  private readonly logger = new Logger(SlowReaders.name);
  private timer: NodeJS.Timeout | undefined;

  constructor(private readonly environment: Environment) {}

  watch(server: Server): void {
    this.timer = setInterval(() => {
      for (const socket of server.sockets.sockets.values()) this.check(socket);
    }, CHECK_EVERY_MS);
    this.timer.unref();
  }

  onModuleDestroy(): void {
    clearInterval(this.timer);
  }

  private check(socket: Socket): void {
    const limit = this.environment.SOCKET_BUFFER_LIMIT_BYTES;
    const waiting = waitingBytes(socket);
    if (waiting <= limit) return;
    this.logger.warn(
      `Disconnected ${socket.id} (${socket.handshake.address}): it does not read, ${waiting} bytes waited for it`,
    );
    socket.disconnect(true);
    // A farewell would queue behind everything else; only ending the connection frees the memory now.
    const { transport } = connectionOf(socket);
    socket.conn.close(true);
    transport?.socket?.terminate?.();
  }
}
