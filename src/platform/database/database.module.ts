import { type DynamicModule, Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { Database } from './database.js';
import { DatabasePool } from './database-pool.js';
import { dataSourceOptions } from './data-source-options.js';
import { UnitOfWork } from './unit-of-work.js';
import { Vacuum } from './vacuum.js';

@Module({})
export class DatabaseModule {
  /** The pool is opened before the application and closed after it: nothing inside has to end in a certain order. */
  static forRoot(pool: DatabasePool): DynamicModule {
    return {
      module: DatabaseModule,
      global: true,
      imports: [TypeOrmModule.forRoot({ ...dataSourceOptions(pool), autoLoadEntities: true, retryAttempts: 0 })],
      providers: [{ provide: DatabasePool, useValue: pool }, Database, UnitOfWork, Vacuum],
      exports: [DatabasePool, Database, UnitOfWork],
    };
  }
}
