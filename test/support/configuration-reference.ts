// The table of docs/reference/configuration.md, made from the JSON Schema of the configuration file: one
// row a key, with its type and range, its default and its description, so that the document says what
// the program accepts and nothing else.

import { jsonSchema } from '../../src/control/config/json-schema.ts';

interface Node {
  readonly type?: string;
  readonly properties?: Readonly<Record<string, Node>>;
  readonly items?: Node;
  readonly required?: readonly string[];
  readonly anyOf?: readonly Node[];
  readonly enum?: readonly string[];
  readonly const?: string;
  readonly pattern?: string;
  readonly examples?: readonly string[];
  readonly minimum?: number;
  readonly exclusiveMinimum?: number;
  readonly maximum?: number;
  readonly minItems?: number;
  readonly default?: unknown;
  readonly description?: string;
}

export interface KeyRow {
  /** Such as 'services[].backends[].port'. */
  readonly path: string;
  readonly row: string;
}

/** The patterns of a duration with a unit, as the schema has them: with and without milliseconds. */
const DURATIONS = ['^[0-9]+[smh]?$', '^[0-9]+(ms|s|m|h)?$'];

/** What one may write, in words. */
function typeText(node: Node): string {
  if (node.enum !== undefined) return node.enum.map((word) => `\`${word}\``).join(', ');
  if (node.const !== undefined) return `\`${node.const}\``;
  if (node.anyOf?.some(({ pattern }) => DURATIONS.includes(pattern ?? ''))) return 'duration';
  if (node.anyOf !== undefined) return node.anyOf.map(typeText).join(' or ');
  if (node.type === 'boolean') return 'true or false';
  if (node.type === 'number') return rangeText(node);
  if (node.type === 'integer') return `${node.minimum} … ${node.maximum}`;
  if (node.type === 'array') {
    const least = node.minItems === undefined ? '' : ', at least one';
    return node.items?.type === 'object'
      ? `list of maps${least}`
      : `list of ${typeText(node.items!)}${least}`;
  }
  if (node.type === 'object') return 'map';
  const example = node.examples?.[0];
  return example === undefined ? 'text' : `text such as \`${example}\``;
}

/** A number that need not be whole; a bound that is not itself allowed stands behind 'above'. */
function rangeText({ minimum, exclusiveMinimum, maximum }: Node): string {
  return exclusiveMinimum === undefined
    ? `${minimum} … ${maximum}`
    : `above ${exclusiveMinimum}, up to ${maximum}`;
}

function defaultText(node: Node, isRequired: boolean): string {
  if (isRequired) return 'required';
  const { default: value } = node;
  // Defaults that depend on other values are not the schema's; the description names them.
  if (value === undefined) {
    const named = /[Dd]efault (\d+s)\.$/.exec(node.description ?? '');
    return named === null ? '–' : `\`${named[1]}\``;
  }
  if (typeof value === 'object') return JSON.stringify(value) === '[]' ? 'empty' : '–';
  return `\`${value}\``;
}

/** All keys, in the order of the schema. */
export function configurationKeys(): KeyRow[] {
  const rows: KeyRow[] = [];
  const visit = (node: Node, prefix: string): void => {
    for (const [key, value] of Object.entries(node.properties ?? {})) {
      const path = `${prefix}${key}`;
      const cells = [
        `\`${path}\``,
        typeText(value),
        defaultText(value, node.required?.includes(key) ?? false),
        value.description ?? '',
      ];
      rows.push({ path, row: `| ${cells.join(' | ')} |` });
      if (value.items?.properties !== undefined) visit(value.items, `${path}[].`);
      else visit(value, `${path}.`);
    }
  };
  visit(jsonSchema() as Node, '');
  return rows;
}
