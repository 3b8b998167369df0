// Reads a configuration file. All that is wrong with it is reported at once, each fault with its
// line, column and path: syntax first (if the YAML itself is broken, nothing else can be judged), then
// the schema and the checks across values together.
//
// Invariant: never throws, whatever the text; the result has a configuration or at least one fault,
// never both and never neither.

import {
  type Document,
  isAlias,
  isCollection,
  isScalar,
  LineCounter,
  parseDocument,
  visit,
  type YAMLError,
} from 'yaml';
import { CONFIGURATION_TEXT_SIZE } from '../../memory/layout.ts';
import { crossChecks } from './checks.ts';
import { type Fault, type Finding, inFileOrder, locate, position } from './faults.ts';
import { type AvailableCpus, validParts } from './parts.ts';
import { type Configuration, completeConfiguration, configurationSchema } from './schema.ts';
import { schemaFindings } from './schema-faults.ts';

export interface ParseResult {
  /** Absent when there are faults. */
  readonly configuration?: Configuration;
  readonly faults: Fault[];
  readonly warnings: Fault[];
}

/**
 * Parses and checks the text of a configuration file.
 *
 * @param fileName as it is to appear in faults
 * @param availableCpus CPUs that can be used; when it is left out, what
 *   depends on it is not checked
 */
export function parseConfiguration(
  text: string,
  fileName: string,
  availableCpus: AvailableCpus = Number.POSITIVE_INFINITY,
): ParseResult {
  // Its text is kept in main memory, for the control processor that follows a killed one.
  if (Buffer.byteLength(text) > CONFIGURATION_TEXT_SIZE) {
    const message = `the file is larger than ${CONFIGURATION_TEXT_SIZE >> 20} MiB`;
    return { faults: [fileFault(fileName, message)], warnings: [] };
  }
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const syntax = document.errors.map((error) => syntaxFault(error, fileName, lines));
  // With a key that exists twice the rest can still be judged.
  const broken = document.errors.some(({ code }) => code !== 'DUPLICATE_KEY');
  const unusable = broken ? [] : unusableNodes(document, fileName, lines);
  if (broken || unusable.length > 0) return { faults: [...syntax, ...unusable], warnings: [] };

  const data = plainData(document);
  if (data === undefined) {
    return { faults: [fileFault(fileName, 'the aliases expand to too much')], warnings: [] };
  }
  if (data === null) {
    const fault = fileFault(fileName, 'the file holds no configuration');
    return { faults: [...syntax, fault], warnings: [] };
  }
  const toFault = (finding: Finding): Fault => locate(finding, fileName, document, lines);
  const checks = crossChecks(validParts(data), availableCpus);
  const findings = [...schemaFindings(data), ...checks.faults];
  const faults = inFileOrder([...syntax, ...findings.map(toFault)]);
  const yamlWarnings = document.warnings.map((warning) => ({
    ...syntaxFault(warning, fileName, lines),
    message: warning.message,
  }));
  const warnings = inFileOrder([...yamlWarnings, ...checks.warnings.map(toFault)]);
  if (faults.length > 0) return { faults, warnings };
  return {
    configuration: completeConfiguration(configurationSchema.parse(data)),
    faults,
    warnings,
  };
}

/** Plain values; undefined when aliases of aliases would fill the memory. */
function plainData(document: Document): unknown {
  try {
    return document.toJS({ maxAliasCount: 1000 }) ?? null;
  } catch {
    return undefined;
  }
}

function syntaxFault(error: YAMLError, file: string, lines: LineCounter): Fault {
  const duplicate = error.code === 'DUPLICATE_KEY';
  return {
    ...position(lines, error.pos[0]),
    file,
    path: '',
    message: duplicate ? 'this key exists twice here' : `not valid YAML: ${error.message}`,
    suggestion: SYNTAX_SUGGESTIONS[error.code] ?? '',
  };
}

const SYNTAX_SUGGESTIONS: Partial<Record<YAMLError['code'], string>> = {
  DUPLICATE_KEY: 'remove one of the two',
  TAB_AS_INDENT: 'indent with spaces',
  BAD_INDENT: 'entries of one list begin in the same column; every [ and { is closed',
  BLOCK_AS_IMPLICIT_KEY: 'put quotes around a text that contains a colon',
  MULTIPLE_DOCS: "remove the '---' between the documents",
};

/** What is YAML but has no counterpart in plain values: aliases of nothing, lists as keys. */
function unusableNodes(document: Document, file: string, lines: LineCounter): Fault[] {
  const faults: Fault[] = [];
  const add = (offset: number | undefined, message: string, suggestion: string) => {
    faults.push({ ...position(lines, offset ?? 0), file, path: '', message, suggestion });
  };
  visit(document, {
    Alias(_, node) {
      if (node.resolve(document) !== undefined) return;
      const suggestion = 'put quotes around a text that begins with *';
      add(node.range?.[0], `no anchor &${node.source} stands before this alias`, suggestion);
    },
    Pair(_, { key }) {
      const resolved = isAlias(key) ? key.resolve(document) : key;
      const isBinary = isScalar(resolved) && resolved.value instanceof Uint8Array;
      if (!isCollection(resolved) && !isBinary) return;
      const suggestion = 'put quotes around a text that begins with [ or {';
      add(
        (isAlias(key) ? key : resolved).range?.[0],
        `a list, map or binary value cannot be a key`,
        suggestion,
      );
    },
  });
  return faults;
}

function fileFault(file: string, message: string): Fault {
  const suggestion = 'start from examples/two-interfaces.yaml';
  return { file, line: 1, column: 1, path: '', message, suggestion };
}
