import { Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { Project } from './project.entity.js';
import { ProjectsController } from './projects.controller.js';
import { ProjectsGateway } from './projects.gateway.js';
import { ProjectsListener } from './projects.listener.js';
import { ProjectsService } from './projects.service.js';

@Module({
  imports: [TypeOrmModule.forFeature([Project])],
  controllers: [ProjectsController],
  providers: [ProjectsService, ProjectsGateway, ProjectsListener],
  exports: [ProjectsService],
})
export class ProjectsModule {}
