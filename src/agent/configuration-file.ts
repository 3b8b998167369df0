// Reads the agent's configuration file (YAML) and shows what is wrong with it as `weir check` does:
// every fault with line and column. It stands apart from weir's own configuration
// (src/control/config), because the agent is installed alone on servers that have nothing else of
// weir.
//
// Invariant: never throws for a text; the result has a configuration or at least one fault.

import { dirname, resolve } from 'node:path';
import { isMap, isNode, isScalar, isSeq, LineCounter, parseDocument } from 'yaml';
import type { z } from 'zod';
import { readBoundedFile } from '../base/bounded-file.ts';
import { WeirError } from '../base/errors.ts';
import { AGENT_KEYS, type AgentConfiguration, agentSchema } from './configuration.ts';

export interface AgentFault {
  readonly file: string;
  /** Both counted from 1. */
  readonly line: number;
  readonly column: number;
  readonly message: string;
}

export type ParsedAgentFile =
  | { readonly configuration: AgentConfiguration; readonly faults: readonly [] }
  | { readonly configuration?: undefined; readonly faults: readonly AgentFault[] };

const MAX_FILE_CHARACTERS = 1_048_576;
type Path = readonly PropertyKey[];
type Issue = z.core.$ZodIssue;

/** Parses the text of a file; `file` is its name in faults. */
export function parseAgentFile(text: string, file: string): ParsedAgentFile {
  if (text.length > MAX_FILE_CHARACTERS) {
    return { faults: [{ file, line: 1, column: 1, message: 'the file is larger than 1 MiB' }] };
  }
  const lines = new LineCounter();
  const at = (offset: number, message: string): AgentFault => {
    const { line, col } = lines.linePos(offset);
    return { file, line: Math.max(1, line), column: Math.max(1, col), message };
  };
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  if (document.errors.length > 0) {
    return { faults: document.errors.map(({ pos, message }) => at(pos[0], message)) };
  }
  let data: unknown;
  try {
    data = document.toJS({ maxAliasCount: 100 });
  } catch (error) {
    return { faults: [at(0, `it cannot be read: ${(error as Error).message}`)] };
  }
  if (data === null) return { faults: [at(0, 'the file holds no configuration')] };
  const result = agentSchema.safeParse(data);
  if (result.success) return { configuration: result.data, faults: [] };
  const faults = result.error.issues
    .flatMap((issue) => describe(issue, data))
    .map(({ path, onKey, message }) => at(offsetOf(document.contents, path, onKey), message));
  return { faults: faults.sort((a, b) => a.line - b.line || a.column - b.column) };
}

/**
 * Reads a file; paths in it are taken as beside the file.
 *
 * @throws WeirError ERR_CONFIG_UNREADABLE, or ERR_CONFIG_INVALID with every fault
 */
export function readAgentFile(path: string): AgentConfiguration {
  let text: string;
  try {
    text = readBoundedFile(path, MAX_FILE_CHARACTERS).bytes.toString('utf8');
  } catch (error) {
    const cause = (error as Error).message;
    const advice = 'check the path after --config, and who may read the file';
    throw new WeirError('ERR_CONFIG_UNREADABLE', `${path}: ${cause}`, advice);
  }
  const { configuration, faults } = parseAgentFile(text, path);
  if (configuration === undefined) {
    const shown = faults.map((fault) => formatFault(fault, text)).join('\n');
    const advice = 'docs/reference/agent.md has all keys';
    throw new WeirError('ERR_CONFIG_INVALID', `the agent was not started\n${shown}`, advice);
  }
  const keyFile = configuration['key-file'];
  if (keyFile === undefined) return configuration;
  return { ...configuration, 'key-file': resolve(dirname(path), keyFile) };
}

/** As `weir check` shows it: place and message, the line, a caret under the place. */
function formatFault({ file, line, column, message }: AgentFault, text: string): string {
  const source = (text.split(/\r?\n/)[line - 1] ?? '').slice(0, 120);
  const number = String(line).padStart(5);
  const caret = `${' '.repeat(number.length)} | ${' '.repeat(column - 1)}^`;
  const shown = `${file}:${line}:${column}: error: ${message}`;
  return printable(source.trim() === '' ? shown : `${shown}\n${number} | ${source}\n${caret}`);
}

/** A file must not be able to send control sequences to the terminal. */
function printable(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  return text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, '\u00b7');
}

interface Finding {
  readonly path: Path;
  readonly onKey: boolean;
  readonly message: string;
}

function describe(issue: Issue, data: unknown): Finding[] {
  const { path } = issue;
  const place = path.map((step) => (typeof step === 'number' ? '[]' : `.${String(step)}`)).join('');
  const shown = path
    .map((step) => (typeof step === 'number' ? `[${step}]` : `.${String(step)}`))
    .join('')
    .replace(/^\./, '');
  if (issue.code === 'unrecognized_keys') {
    const known = AGENT_KEYS[place.replace(/^\./, '')] ?? [];
    return issue.keys.map((key) => {
      const subject = shown === '' ? key : `${shown}.${key}`;
      const message = `${subject}: unknown key; known here: ${known.join(', ')}`;
      return { path: [...path, key], onKey: true, message };
    });
  }
  const subject = shown === '' ? '' : `${shown}: `;
  if (valueAt(data, path) === undefined) {
    const parent = path.slice(0, -1);
    return [{ path: parent, onKey: false, message: `${subject}this is missing` }];
  }
  return [{ path, onKey: false, message: `${subject}${messageOf(issue)}` }];
}

function messageOf(issue: Issue): string {
  if (issue.code === 'too_big') return `at most ${issue.maximum} is allowed`;
  if (issue.code === 'too_small') return `at least ${issue.minimum} is needed`;
  if (issue.code === 'invalid_type' && /^Invalid input/.test(issue.message)) {
    return `${TYPES[issue.expected] ?? issue.expected} is expected`;
  }
  return issue.message;
}

const TYPES: Readonly<Record<string, string>> = {
  string: 'a text',
  number: 'a number',
  int: 'a whole number',
  array: 'a list',
  object: 'a map of keys and values',
  boolean: 'true or false',
};

function valueAt(data: unknown, path: Path): unknown {
  let value = data;
  for (const step of path) {
    if (typeof value !== 'object' || value === null) return undefined;
    value = (value as Record<PropertyKey, unknown>)[step];
  }
  return value;
}

/** Where in the text a path is, or the nearest thing around it. */
function offsetOf(contents: unknown, path: Path, onKey: boolean): number {
  let node = contents;
  let offset = startOf(node) ?? 0;
  for (const [depth, step] of path.entries()) {
    if (isSeq(node) && typeof step === 'number') node = node.items[step];
    else if (isMap(node)) {
      const pair = node.items.find(({ key }) => isScalar(key) && String(key.value) === step);
      if (pair === undefined) return offset;
      if (onKey && depth === path.length - 1) return startOf(pair.key) ?? offset;
      offset = startOf(pair.key) ?? offset;
      node = pair.value;
    } else return offset;
    offset = startOf(node) ?? offset;
  }
  return offset;
}

function startOf(node: unknown): number | undefined {
  return isNode(node) ? node.range?.[0] : undefined;
}
