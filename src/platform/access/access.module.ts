import { Global, Module } from '@nestjs/common';
import { APP_GUARD } from '@nestjs/core';
import { AccessGuard } from './access.guard.js';
import { CredentialWatch } from './credential-watch.js';

/** The first guard of all: those after it know who is calling. */
@Global()
@Module({ providers: [{ provide: APP_GUARD, useClass: AccessGuard }, CredentialWatch], exports: [CredentialWatch] })
export class AccessModule {}
