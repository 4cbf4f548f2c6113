import { Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { ApiKey } from './api-key.entity.js';
import { ApiKeysService } from './api-keys.service.js';
import { KeyRing } from './key-ring.js';

/** The keys as such, for the server and for `npm run keys`, which lets nobody in. */
@Module({
  imports: [TypeOrmModule.forFeature([ApiKey])],
  providers: [ApiKeysService, KeyRing],
  exports: [ApiKeysService, KeyRing],
})
export class ApiKeysModule {}
