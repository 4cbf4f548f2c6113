import { Global, Module } from '@nestjs/common';
import { Authenticator } from '../platform/access/authenticator.js';
import { ApiKeysModule } from './api-keys.module.js';
import { AuthController } from './auth.controller.js';
import { AuthListener } from './auth.listener.js';
import { Authentication } from './authentication.js';
import { FailedLogins } from './failed-logins.js';
import { KeyUsage } from './key-usage.js';
import { Oidc } from './oidc.js';

/** Gives the platform its Authenticator. */
@Global()
@Module({
  imports: [ApiKeysModule],
  controllers: [AuthController],
  providers: [
    AuthListener,
    Authentication,
    { provide: Authenticator, useExisting: Authentication },
    FailedLogins,
    KeyUsage,
    Oidc,
  ],
  exports: [Authenticator, ApiKeysModule],
})
export class AuthModule {}
