import { Global, Module } from '@nestjs/common';
import { DiscoveryModule } from '@nestjs/core';
import { CommitSignal } from './commit-signal.js';
import { DurableConsumers } from './durable-consumers.js';
import { EventHistory } from './event-history.js';
import { EventHandlers } from './handlers.js';
import { EventLog } from './event-log.js';
import { EventRetention } from './event-retention.js';
import { EventTail } from './event-tail.js';
import { LogChannel } from './log-channel.js';

@Global()
@Module({
  imports: [DiscoveryModule],
  providers: [
    CommitSignal,
    EventHandlers,
    EventHistory,
    EventLog,
    EventRetention,
    EventTail,
    LogChannel,
    DurableConsumers,
  ],
  exports: [CommitSignal, EventHandlers, EventHistory, EventLog, EventTail],
})
export class EventsModule {}
