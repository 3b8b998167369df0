// The configuration file of `weir resource-manager`: parsed, checked as a whole, every fault reported with its
// line, like that of weir itself (src/control/config), with which it shares the words for agents and sources.
// Keys: docs/reference/resource-manager.md.
// Invariant: never throws for what the text says; there is a result or at least one fault.

import { LineCounter, parseDocument } from 'yaml';
import { z } from 'zod';
import {
  type Fault,
  type Finding,
  inFileOrder,
  locate,
  type Path,
  position,
} from '../control/config/faults.ts';
import { nearestWord } from '../control/config/nearest-word.ts';
import {
  agentShape,
  loadShape,
  remoteShape,
  resourceManagerShape,
} from '../control/config/schema-distribution.ts';
import { kernelAddress, port } from '../control/config/schema-values.ts';
import { isBackendKey } from '../load/signed-report.ts';

const MOST_CHARACTERS = 2 * 1024 * 1024;

const backend = z.string().refine(isBackendKey, {
  error: 'a backend is written as service/backend',
});

const sourceSchema = z.strictObject({
  backend,
  source: z.enum(['orca', 'agent-check', 'node-exporter']),
  address: kernelAddress('10.2.0.11'),
  port,
  interval: loadShape.interval,
  timeout: loadShape.timeout,
  path: loadShape.path,
  send: loadShape.send,
});

const programSchema = z.strictObject({
  listen: resourceManagerShape.listen,
  'reports-per-second': resourceManagerShape['reports-per-second'],
  agents: z.array(z.strictObject({ ...agentShape, backends: z.array(backend).min(1) })).default([]),
  sources: z.array(sourceSchema).default([]),
  feed: z.strictObject(remoteShape),
});

/** What the file says, with the defaults; durations are milliseconds. */
export type ProgramFile = z.output<typeof programSchema>;

/** Keys by place, for "did you mean". */
const KNOWN_KEYS: Readonly<Record<string, readonly string[]>> = {
  '': Object.keys(programSchema.shape),
  listen: ['address', 'port'],
  feed: Object.keys(remoteShape),
  agents: Object.keys(agentShape),
  sources: Object.keys(sourceSchema.shape),
};

export interface ProgramFileResult {
  /** Absent when there are faults. */
  readonly file?: ProgramFile;
  readonly faults: Fault[];
}

/** @param fileName as it is to appear in faults */
export function parseProgramFile(text: string, fileName: string): ProgramFileResult {
  const whole = (message: string): ProgramFileResult => ({
    faults: [{ file: fileName, line: 1, column: 1, path: '', message, suggestion: EXAMPLE }],
  });
  if (text.length > MOST_CHARACTERS) return whole('the file is larger than 2 MiB');
  const lines = new LineCounter();
  const document = parseDocument(text, {
    lineCounter: lines,
    prettyErrors: false,
    logLevel: 'error',
  });
  if (document.errors.length > 0) {
    const faults = document.errors.map((error) => ({
      ...position(lines, error.pos[0]),
      file: fileName,
      path: '',
      message: `not valid YAML: ${error.message}`,
      suggestion: '',
    }));
    return { faults };
  }
  let data: unknown;
  try {
    data = document.toJS({ maxAliasCount: 1000 });
  } catch {
    return whole('an alias names nothing, or the aliases expand to too much');
  }
  if (data === null || data === undefined) return whole('the file holds no configuration');
  const result = programSchema.safeParse(data);
  const findings = result.success
    ? crossChecks(result.data)
    : result.error.issues.flatMap((issue) => findingsOf(issue, data));
  const faults = findings.map((finding) => locate(finding, fileName, document, lines));
  return result.success && faults.length === 0
    ? { file: result.data, faults }
    : { faults: inFileOrder(faults) };
}

const EXAMPLE = 'start from examples/resource-manager.yaml';

function findingsOf(issue: z.core.$ZodIssue, data: unknown): Finding[] {
  const path = issue.path as Path;
  if (issue.code === 'unrecognized_keys') return issue.keys.map((key) => unknownKey(path, key));
  const isMissing = valueAt(data, path) === undefined && issue.code === 'invalid_type';
  const message = isMissing ? `${String(path.at(-1))} is missing` : issue.message;
  const suggestion = issue.code === 'custom' ? String(issue.params?.suggestion ?? '') : '';
  return [{ path, message, suggestion }];
}

function unknownKey(path: Path, key: string): Finding {
  const known = KNOWN_KEYS[String(path[0] ?? '')] ?? [];
  const near = nearestWord(key, known);
  const suggestion = near ? `did you mean ${near}?` : `known here: ${known.join(', ')}`;
  return { path: [...path, key], message: `unknown key '${key}'`, suggestion, onKey: true };
}

function valueAt(data: unknown, path: Path): unknown {
  let value = data;
  for (const step of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, step))
      return undefined;
    value = (value as Record<string | number, unknown>)[step];
  }
  return value;
}

/** What one value says about another. */
function crossChecks(file: ProgramFile): Finding[] {
  const findings: Finding[] = [];
  const add = (path: Path, message: string, suggestion = '') => {
    findings.push({ path, message, suggestion });
  };
  const names = new Set<string>();
  const reporters = new Map<string, string>();
  file.agents.forEach(({ name, backends }, i) => {
    if (names.has(name)) add(['agents', i, 'name'], `there are two agents '${name}'`);
    names.add(name);
    backends.forEach((each, n) => {
      const other = reporters.get(each);
      if (other !== undefined) {
        const message = `${other} reports about ${each} already`;
        add(['agents', i, 'backends', n], message, 'one source for each backend');
      }
      reporters.set(each, `agent ${name}`);
    });
  });
  file.sources.forEach(({ backend: each, source, path, send }, i) => {
    const other = reporters.get(each);
    if (other !== undefined) {
      const message = `${other} reports about ${each} already`;
      add(['sources', i, 'backend'], message, 'one source for each backend');
    }
    reporters.set(each, `a source of type ${source}`);
    if (path !== undefined && source !== 'node-exporter') {
      add(['sources', i, 'path'], `path says nothing to ${source}`, 'it belongs to node-exporter');
    }
    if (send !== undefined && source !== 'agent-check') {
      add(['sources', i, 'send'], `send says nothing to ${source}`, 'it belongs to agent-check');
    }
  });
  if (file.agents.length > 0 && file.listen === undefined) {
    add(['agents'], 'agents cannot report without listen', 'add listen: { address: 10.2.0.50 }');
  }
  if (reporters.size === 0) add([], 'neither agents nor sources are there', EXAMPLE);
  return findings;
}
