// The JSON Schema of the configuration file, with which editors complete and check while one types.
// It is generated from the schema and kept as weir.schema.json at the top of the repository:
//
//   npm run build && node dist/src/control/config/json-schema.js > weir.schema.json
//
// Draft 7 is what yaml-language-server understands best.

import { realpathSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { configurationSchema } from './schema.ts';

/** The JSON Schema of what one may write (not of what parsing makes of it). */
export function jsonSchema(): object {
  return z.toJSONSchema(configurationSchema, { io: 'input', target: 'draft-7' });
}

/** The text of weir.schema.json. */
export function jsonSchemaText(): string {
  return `${JSON.stringify(jsonSchema(), null, 2)}\n`;
}

const started = process.argv[1];
if (started !== undefined && isThisFile(started)) process.stdout.write(jsonSchemaText());

function isThisFile(path: string): boolean {
  try {
    return realpathSync(path) === fileURLToPath(import.meta.url);
  } catch {
    return false;
  }
}
