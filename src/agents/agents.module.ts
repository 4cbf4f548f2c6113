import { Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { ProjectsModule } from '../projects/projects.module.js';
import { AgentPresence } from './agent-presence.js';
import { Agent } from './agent.entity.js';
import { AgentsController } from './agents.controller.js';
import { AgentsGateway } from './agents.gateway.js';
import { AgentsListener } from './agents.listener.js';
import { AgentsProcessor } from './agents.processor.js';
import { AgentsService } from './agents.service.js';

@Module({
  imports: [TypeOrmModule.forFeature([Agent]), ProjectsModule],
  controllers: [AgentsController],
  providers: [AgentsService, AgentPresence, AgentsProcessor, AgentsListener, AgentsGateway],
  exports: [AgentsService, AgentPresence],
})
export class AgentsModule {}
