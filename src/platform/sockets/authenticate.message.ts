import { IsString, Length } from 'class-validator';

export class AuthenticateMessage {
  /** An API key or a token, instead of the one that the socket came with. */
  @IsString()
  @Length(1, 16_384)
  token: string;
}
