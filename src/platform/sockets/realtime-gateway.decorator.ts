import { applyDecorators, SetMetadata, UseFilters, UseInterceptors } from '@nestjs/common';
import { WebSocketGateway } from '@nestjs/websockets';
import { MessageInterceptor } from './message.interceptor.js';
import { RealtimeErrorFilter } from './realtime-error.filter.js';

export const IS_REALTIME_GATEWAY = 'is_realtime_gateway';

/**
 * A gateway of the one namespace. Its `@Live` methods speak to rooms, also when a client resumes; its messages answer
 * errors as problem documents (Nest runs global pipes, guards and interceptors for messages, but not global filters).
 */
export const RealtimeGateway = (): ClassDecorator =>
  applyDecorators(
    WebSocketGateway(),
    UseFilters(RealtimeErrorFilter),
    UseInterceptors(MessageInterceptor),
    SetMetadata(IS_REALTIME_GATEWAY, true),
  );
