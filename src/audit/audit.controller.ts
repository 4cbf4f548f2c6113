import { Controller, Get, Query, VERSION_NEUTRAL } from '@nestjs/common';
import { ApiExtraModels, ApiOperation, ApiTags } from '@nestjs/swagger';
import { Access } from '../platform/access/access.decorator.js';
import { Role } from '../platform/access/principal.js';
import { Listed } from '../platform/http/api.decorators.js';
import { mapPage, type Page } from '../platform/http/page.js';
import { AuditService } from './audit.service.js';
import { AuditRecordResponse, ChangeResponse } from './dto/audit-record.response.js';
import { ListAuditQuery } from './dto/list-audit.query.js';

@ApiTags('audit')
@Controller({ path: 'audit', version: ['1', '2', VERSION_NEUTRAL] })
export class AuditController {
  constructor(private readonly audit: AuditService) {}

  @Get()
  @Access(Role.Admin)
  @Listed(AuditRecordResponse)
  @ApiExtraModels(ChangeResponse)
  @ApiOperation({
    operationId: 'list_audit',
    summary: 'The requests that changed something, or tried to, newest first',
  })
  async list(@Query() query: ListAuditQuery): Promise<Page<AuditRecordResponse>> {
    return mapPage(await this.audit.list(query), AuditRecordResponse.from);
  }
}
