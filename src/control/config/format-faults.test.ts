import { describe, expect, it } from 'vitest';
import type { Fault } from './faults.ts';
import { faultsToJson, formatFaults } from './format-faults.ts';

const fault = (changes: Partial<Fault>): Fault => ({
  file: 'weir.yaml',
  line: 1,
  column: 1,
  path: 'services[0].port',
  message: '99999 is more than 65535',
  suggestion: '',
  ...changes,
});

describe('formatFaults', () => {
  it('shows the line with a caret under the place, and the suggestion', () => {
    const text = 'services:\n  - port: 99999\n';
    expect(formatFaults([fault({ line: 2, column: 11, suggestion: 'write 80' })], text)).toBe(
      [
        'weir.yaml:2:11: error: services[0].port: 99999 is more than 65535',
        '    2 |   - port: 99999',
        '      |           ^',
        '      = hint: write 80',
        '',
      ].join('\n'),
    );
  });

  it('shows warnings as such, and no line where there is none', () => {
    expect(formatFaults([fault({ path: '', message: 'empty' })], '', 'warning')).toBe(
      'weir.yaml:1:1: warning: empty\n',
    );
    expect(formatFaults([fault({ line: 99 })], 'a')).not.toContain('|');
  });

  it('keeps the tabs before the caret', () => {
    expect(formatFaults([fault({ column: 3 })], '\t\tx')).toContain('|\x20\t\t^\n');
  });

  it('cuts long lines around the caret', () => {
    const text = `${'a'.repeat(500)}X${'b'.repeat(500)}`;
    const [, source, caret] = formatFaults([fault({ column: 501 })], text).split('\n');
    expect(source.length).toBeLessThan(140);
    expect(source[caret.indexOf('^')]).toBe('X');
  });

  it('lets no control sequence through to the terminal', () => {
    const shown = formatFaults([fault({ message: 'a\u001b[2Jb' })], 'x: \u001b[31m\u009b1m');
    expect(shown).not.toContain('\u001b');
    expect(shown).not.toContain('\u009b');
    expect(shown).toContain('a\u00b7[2Jb');
  });
});

describe('faultsToJson', () => {
  it('has errors and warnings with all their fields', () => {
    const json: unknown = JSON.parse(faultsToJson([fault({})], [fault({ line: 7 })]));
    expect(json).toEqual({ errors: [fault({})], warnings: [fault({ line: 7 })] });
  });
});
