import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import { IsIn, IsString, Length } from 'class-validator';
import { QueryWhole } from './fields.js';
import { Optional } from './optional.decorator.js';

/** One page of a list, before it takes the shape of the version that was asked for. */
export interface Page<Item> {
  items: Item[];
  /** Absent when the client asked for `count=none`. */
  total: number | null;
  total_is_estimate: boolean;
  /** Items before this page, also where a cursor led here. */
  skip: number;
  limit: number;
  next_cursor: string | null;
}

export const mapPage = <From, To>(page: Page<From>, map: (item: From) => To): Page<To> => ({
  ...page,
  items: page.items.map(map),
});

/** The query parameters that every list has; a list adds `sort_by` and its filters. */
export class PageQuery {
  @QueryWhole({ min: 1, max: 1000, description: 'Items per page: 100 by default, 50 without version' })
  limit?: number;

  @QueryWhole({
    min: 0,
    max: 2_147_483_647,
    description: 'Items to leave out from the beginning; not together with cursor',
  })
  skip?: number;

  @ApiPropertyOptional({ description: 'Where the page before this one ended: its next cursor' })
  @Optional()
  @IsString()
  @Length(1, 2000)
  cursor?: string;

  @ApiPropertyOptional({ enum: ['asc', 'desc'], enumName: 'SortOrder', default: 'desc' })
  @Optional()
  @IsIn(['asc', 'desc'])
  sort_order?: 'asc' | 'desc';

  @ApiPropertyOptional({
    enum: ['exact', 'none'],
    enumName: 'TotalCount',
    description: 'By default the total is exact up to 10,000 and estimated beyond; exact forces it, none leaves it out',
  })
  @Optional()
  @IsIn(['exact', 'none'])
  count?: 'exact' | 'none';
}

/** The unversioned shape of a list. */
export abstract class PageResponse {
  @ApiProperty({ type: Number, nullable: true })
  total: number | null;

  @ApiPropertyOptional({ description: 'Present and true when the total is an estimate' })
  total_is_estimate?: boolean;

  @ApiProperty()
  skip: number;

  @ApiProperty()
  limit: number;

  @ApiProperty({ type: String, nullable: true })
  next_cursor: string | null;
}
