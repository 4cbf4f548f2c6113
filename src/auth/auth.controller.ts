import { Body, Controller, Delete, Get, HttpCode, HttpStatus, Post, Query, VERSION_NEUTRAL } from '@nestjs/common';
import { ApiCreatedResponse, ApiNoContentResponse, ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { Access } from '../platform/access/access.decorator.js';
import { Role } from '../platform/access/principal.js';
import { currentContext } from '../platform/context/request-context.js';
import { ApiErrors, ApiIdempotent, Listed } from '../platform/http/api.decorators.js';
import { Created } from '../platform/http/created.interceptor.js';
import { Id } from '../platform/http/id.decorator.js';
import { mapPage, type Page } from '../platform/http/page.js';
import { AnswersSecret } from '../platform/http/sealed-answers.js';
import { ApiKeysService } from './api-keys.service.js';
import { ApiKeyResponse, ApiKeyWithSecretResponse } from './dto/api-key.response.js';
import { CreateApiKeyDto, RotateApiKeyDto } from './dto/create-api-key.dto.js';
import { ListApiKeysQuery } from './dto/list-api-keys.query.js';
import { MeResponse } from './dto/me.response.js';

/** Who is calling, and the keys of all. */
@ApiTags('auth')
@Controller({ path: 'auth', version: ['1', '2', VERSION_NEUTRAL] })
export class AuthController {
  constructor(private readonly keys: ApiKeysService) {}

  @Get('me')
  @Access(Role.Viewer, Role.Agent)
  @ApiOperation({ operationId: 'get_me', summary: 'Who is calling, and with which role' })
  @ApiOkResponse({ type: MeResponse })
  @ApiErrors()
  me(): MeResponse {
    return MeResponse.from(currentContext().principal);
  }

  @Get('keys')
  @Access(Role.Admin)
  @Listed(ApiKeyResponse)
  @ApiOperation({ operationId: 'list_api_keys', summary: 'List API keys, also those that are over, newest first' })
  async list(@Query() query: ListApiKeysQuery): Promise<Page<ApiKeyResponse>> {
    return mapPage(await this.keys.list(query), ApiKeyResponse.from);
  }

  @Post('keys')
  @Access(Role.Admin)
  @Created()
  @ApiIdempotent()
  @AnswersSecret()
  @ApiOperation({ operationId: 'create_api_key', summary: 'Create an API key; the key itself is shown this once' })
  @ApiCreatedResponse({ type: ApiKeyWithSecretResponse })
  @ApiErrors('invalid', 'conflict')
  async create(@Body() dto: CreateApiKeyDto): Promise<ApiKeyWithSecretResponse> {
    const { key, text } = await this.keys.create(dto);
    return ApiKeyWithSecretResponse.of(key, text);
  }

  @Get('keys/:id')
  @Access(Role.Admin)
  @ApiOperation({ operationId: 'get_api_key', summary: 'Get one API key, without its secret' })
  @ApiOkResponse({ type: ApiKeyResponse })
  @ApiErrors('not_found', 'invalid')
  async get(@Id() id: string): Promise<ApiKeyResponse> {
    return ApiKeyResponse.from(await this.keys.get(id));
  }

  @Post('keys/:id/rotate')
  @Access(Role.Admin)
  @HttpCode(HttpStatus.OK)
  @ApiIdempotent()
  @AnswersSecret()
  @ApiOperation({
    operationId: 'rotate_api_key',
    summary: 'Give a key a new secret, shown this once; the one before is valid for a while',
  })
  @ApiOkResponse({ type: ApiKeyWithSecretResponse })
  @ApiErrors('not_found', 'invalid', 'conflict')
  async rotate(@Id() id: string, @Body() { overlap_seconds }: RotateApiKeyDto): Promise<ApiKeyWithSecretResponse> {
    const { key, text } = await this.keys.rotate(id, overlap_seconds);
    return ApiKeyWithSecretResponse.of(key, text);
  }

  @Delete('keys/:id')
  @Access(Role.Admin)
  @HttpCode(HttpStatus.NO_CONTENT)
  @ApiOperation({
    operationId: 'revoke_api_key',
    summary: 'End an API key at once, on all nodes and open sockets; it stays in the list',
  })
  @ApiNoContentResponse()
  @ApiErrors('not_found', 'invalid')
  revoke(@Id() id: string): Promise<void> {
    return this.keys.revoke(id);
  }
}
