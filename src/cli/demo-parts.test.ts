// The parts of the demo that need no network: the configuration it writes, its sums, its screen, and how
// it tells when a killed process is back.

import { describe, expect, it } from 'vitest';
import { parseConfiguration } from '../control/config/parse.ts';
import type { Status } from '../control/status-shape.ts';
import { emptyLoadReport } from '../lab/http-load-report.ts';
import { busiest, type KillContext, killControl, killSwitching } from './demo-kills.ts';
import { addReports, demoConfiguration } from './demo-lab.ts';
import { Screen } from './demo-screen.ts';

describe('demoConfiguration', () => {
  it.each(['auto', 'af-packet'] as const)('is one that weir takes (%s)', (kind) => {
    const interfaces = [
      { name: 'ext0', address: '10.1.0.1', prefixLength: 24 },
      { name: 'int0', address: '10.2.0.1', prefixLength: 24 },
    ];
    const servers = [{ name: 'b1', address: '10.2.0.11' }];
    const agents = { address: '10.2.0.9', keyFiles: ['/b1.key'] };
    // JSON is YAML.
    const text = JSON.stringify(demoConfiguration(interfaces, kind, '10.1.0.100', servers, agents));
    const { configuration, faults } = parseConfiguration(text, 'demo');
    expect(faults).toEqual([]);
    expect(configuration?.interfaces[1].kind).toBe(kind);
    expect(configuration?.processors.switching).toBe(2);
  });
});

describe('addReports', () => {
  it('adds counts and keeps the worst times', () => {
    const latencyMs = { median: 1, p99: 9, maximum: 20 };
    const sum = addReports([
      { ...emptyLoadReport(), requests: 3, perServer: { b1: 3 }, latencyMs, final: true },
      { ...emptyLoadReport(), requests: 4, perServer: { b1: 1, b2: 3 }, longestSilenceMs: 7 },
    ]);
    expect(sum).toMatchObject({ requests: 7, perServer: { b1: 4, b2: 3 }, latencyMs });
    expect(sum).toMatchObject({ longestSilenceMs: 7, final: false });
    expect(addReports([])).toEqual({ ...emptyLoadReport(), final: true });
  });
});

describe('Screen', () => {
  function screen(rows: number) {
    const written: string[] = [];
    const terminal = { rows, columns: 80, write: (text: string) => written.push(text) };
    return { written, screen: new Screen(terminal) };
  }

  it('draws over what it has drawn, and shows the cursor again', () => {
    const { written, screen: page } = screen(24);
    page.draw(['a', 'b']);
    page.draw(['c']);
    page.close();
    page.close();
    expect(written).toEqual([
      '\u001b[?25l\u001b[Ja\nb\n',
      '\r\u001b[2A\u001b[Jc\n',
      '\r\u001b[1A\u001b[J\u001b[?25h',
    ]);
  });

  it('stays within the height of the terminal, lest it scrolls', () => {
    const { written, screen: page } = screen(3);
    page.draw(['1', '2', '3', '4']);
    expect(written[0]).toContain('1\n2\n');
    expect(written[0]).not.toContain('3');
  });
});

/** A status with these switching processors and this control processor. */
function statusWith(pid: number, state: string, forwarded: number, controlPid = 9): Status {
  const switching = [
    { processor: 0, pid, state, forwarded },
    { processor: 1, pid: 8, state: 'running', forwarded: 5 },
  ];
  return { state: 'ready', processes: { switching, control: { pid: controlPid } } } as never;
}

/** Gives one status after the other, each after five milliseconds. */
function contextOf(answers: (Status | undefined)[]): KillContext & { killed: number[] } {
  let time = 0;
  const killed: number[] = [];
  return {
    killed,
    fetch: async () => (answers.length > 1 ? answers.shift() : answers[0]),
    kill: (pid) => killed.push(pid),
    now: () => time,
    sleep: async (milliseconds) => {
      time += milliseconds;
    },
  };
}

describe('killSwitching', () => {
  it('ends when another process forwards what its predecessor had not', async () => {
    const context = contextOf([
      statusWith(7, 'running', 100),
      undefined,
      statusWith(7, 'dead', 100),
      statusWith(17, 'starting', 100),
      statusWith(17, 'running', 100),
      statusWith(17, 'running', 101),
    ]);
    expect(await killSwitching(context, 0, statusWith(7, 'running', 90))).toBe(25);
    expect(context.killed).toEqual([7]);
  });

  it('gives up on one that does not come back', async () => {
    const context = contextOf([statusWith(7, 'dead', 100)]);
    expect(await killSwitching(context, 0, statusWith(7, 'running', 90))).toBeNull();
  });
});

describe('killControl', () => {
  it('ends when another process answers', async () => {
    const other = statusWith(7, 'running', 1, 19);
    const context = contextOf([statusWith(7, 'running', 1), undefined, undefined, other]);
    expect(await killControl(context, statusWith(7, 'running', 1))).toBe(15);
    expect(context.killed).toEqual([9]);
  });
});

describe('busiest', () => {
  it('is the one that has forwarded most', () => {
    expect(busiest(statusWith(7, 'running', 4))).toBe(1);
    expect(busiest(statusWith(7, 'running', 6))).toBe(0);
  });
});
