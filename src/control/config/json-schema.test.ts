import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { jsonSchemaText } from './json-schema.ts';
import { SCHEDULER_NAMES } from './schema.ts';

interface Schema {
  properties: Record<string, Schema>;
  items: Schema;
  enum?: string[];
  pattern?: string;
  required?: string[];
  description?: string;
  additionalProperties?: boolean;
}

const schema = JSON.parse(jsonSchemaText()) as Schema;
const service = schema.properties.services.items;

describe('weir.schema.json', () => {
  it('is what the schema generates', () => {
    const path = new URL('../../../weir.schema.json', import.meta.url);
    const command =
      'npm run build && node dist/src/control/config/json-schema.js > weir.schema.json';
    expect(readFileSync(path, 'utf8') === jsonSchemaText(), `out of date; run: ${command}`).toBe(
      true,
    );
  });

  it('offers an editor the words, aliases included', () => {
    expect(service.properties.scheduler.enum).toEqual(Object.keys(SCHEDULER_NAMES));
    expect(service.properties.protocol.enum).toEqual(['tcp', 'udp']);
  });

  it('requires only what has no default', () => {
    expect(schema.required).toEqual(['interfaces']);
    expect(service.required).toEqual(['name', 'address', 'protocol', 'port', 'backends']);
    expect(service.properties.backends.items.required).toEqual(['name', 'address']);
  });

  it('says of every key what it does, and refuses others', () => {
    const visit = (part: Schema, path: string): void => {
      if (part.items !== undefined) visit(part.items, `${path}[]`);
      if (part.properties === undefined) return;
      expect(part.additionalProperties, path).toBe(false);
      for (const [key, value] of Object.entries(part.properties)) {
        expect(value.description, `${path}.${key}`).toBeTruthy();
        visit(value, `${path}.${key}`);
      }
    };
    visit(schema, '');
  });

  it.each([
    ['10.1.0.100', true],
    ['255.255.255.255', true],
    ['10.1.0.256', false],
    ['10.1.0.01', false],
    ['10.1.0', false],
    ['10.1.0.1/24', false],
  ])('has a pattern that takes address %s: %s', (text, taken) => {
    expect(new RegExp(service.properties.address.pattern!).test(text)).toBe(taken);
  });
});
