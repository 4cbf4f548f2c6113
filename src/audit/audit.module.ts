import { Module } from '@nestjs/common';
import { AuditController } from './audit.controller.js';
import { AuditGateway } from './audit.gateway.js';
import { AuditService } from './audit.service.js';
import { AuditWriter } from './audit-writer.js';
import { RequestAudit } from './request-audit.js';

@Module({
  controllers: [AuditController],
  providers: [AuditService, AuditGateway, AuditWriter, RequestAudit],
})
export class AuditModule {}
