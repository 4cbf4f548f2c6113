import { Global, Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { Authenticator } from '../platform/access/authenticator.js';
import { ApiKey } from './api-key.entity.js';
import { ApiKeysService } from './api-keys.service.js';
import { AuthController } from './auth.controller.js';
import { AuthListener } from './auth.listener.js';
import { Authentication } from './authentication.js';
import { FailedLogins } from './failed-logins.js';
import { KeyRing } from './key-ring.js';
import { KeyUsage } from './key-usage.js';
import { Oidc } from './oidc.js';

/** Gives the platform its Authenticator. */
@Global()
@Module({
  imports: [TypeOrmModule.forFeature([ApiKey])],
  controllers: [AuthController],
  providers: [
    ApiKeysService,
    AuthListener,
    Authentication,
    { provide: Authenticator, useExisting: Authentication },
    FailedLogins,
    KeyRing,
    KeyUsage,
    Oidc,
  ],
  exports: [Authenticator, ApiKeysService],
})
export class AuthModule {}
