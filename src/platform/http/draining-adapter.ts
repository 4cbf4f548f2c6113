import { FastifyAdapter } from '@nestjs/platform-fastify';

/** Knows from the first moment of a shutdown that it goes on: Nest's own refusal would be no problem document. */
export class DrainingAdapter extends FastifyAdapter {
  isDraining = false;

  override beforeClose(): void {
    super.beforeClose();
    this.isDraining = true;
  }
}
