import { type DynamicModule, Module } from '@nestjs/common';
import { Environment } from './environment.js';

/** Gives services the environment, read once at boot; none of them reads `process.env`. */
@Module({})
export class ConfigModule {
  static with(environment: Environment): DynamicModule {
    return {
      module: ConfigModule,
      global: true,
      providers: [{ provide: Environment, useValue: environment }],
      exports: [Environment],
    };
  }
}
