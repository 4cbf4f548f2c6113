import {
  applyDecorators,
  type CallHandler,
  type ExecutionContext,
  HttpCode,
  HttpStatus,
  Injectable,
  type NestInterceptor,
  UseInterceptors,
} from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { type Observable, tap } from 'rxjs';
import { pathOf } from './version.js';

@Injectable()
class CreatedInterceptor implements NestInterceptor {
  intercept(context: ExecutionContext, next: CallHandler<{ id: string }>): Observable<unknown> {
    const request = context.switchToHttp().getRequest<FastifyRequest>();
    const reply = context.switchToHttp().getResponse<FastifyReply>();
    return next
      .handle()
      .pipe(tap(({ id }) => void reply.header('Location', `${pathOf(request.url).replace(/\/$/, '')}/${id}`)));
  }
}

/** 201 with the new resource and where it is. */
export const Created = () => applyDecorators(HttpCode(HttpStatus.CREATED), UseInterceptors(CreatedInterceptor));
