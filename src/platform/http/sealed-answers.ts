import { SetMetadata } from '@nestjs/common';
import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto';

const ANSWERS_SECRET = 'answers_secret';
const ALGORITHM = 'aes-256-gcm';
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/** The answer holds a secret: where it is kept for a retry with the same Idempotency-Key, it is sealed. */
export const AnswersSecret = (): MethodDecorator => SetMetadata(ANSWERS_SECRET, true);

export const answersSecret = (handler: object): boolean => Reflect.hasMetadata(ANSWERS_SECRET, handler);

/** Makes texts unreadable for who has the database, or a backup of it, but not SECRET_KEY. */
export class Seal {
  private readonly key: Buffer;

  constructor(secret_key: string) {
    this.key = Buffer.from(hkdfSync('sha256', secret_key, '', 'flightdeck idempotent answers', 32));
  }

  /** @param place where it is kept: it can be opened only there */
  close(text: string, place: string): string {
    const nonce = randomBytes(NONCE_BYTES);
    const cipher = createCipheriv(ALGORITHM, this.key, nonce).setAAD(Buffer.from(place));
    const sealed = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()]);
    return Buffer.concat([nonce, cipher.getAuthTag(), sealed]).toString('base64');
  }

  /** Null when it was sealed with another key, or somewhere else. */
  open(sealed: string, place: string): string | null {
    const bytes = Buffer.from(sealed, 'base64');
    try {
      const decipher = createDecipheriv(ALGORITHM, this.key, bytes.subarray(0, NONCE_BYTES))
        .setAAD(Buffer.from(place))
        .setAuthTag(bytes.subarray(NONCE_BYTES, NONCE_BYTES + TAG_BYTES));
      return decipher.update(bytes.subarray(NONCE_BYTES + TAG_BYTES), undefined, 'utf8') + decipher.final('utf8');
    } catch {
      return null;
    }
  }
}
