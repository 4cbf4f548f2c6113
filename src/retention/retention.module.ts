import { Module } from '@nestjs/common';
import { TasksModule } from '../tasks/tasks.module.js';
import { RunRetention } from './run-retention.js';

@Module({ imports: [TasksModule], providers: [RunRetention] })
export class RetentionModule {}
