// The grammar of HAProxy's agent-check, as a table of answers; then every wish there and back, then
// bytes from anywhere.

import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { Prng } from '../base/prng.ts';
import {
  type AgentCheckAnswer,
  agentCheckLine,
  formatAgentCheck,
  MAX_AGENT_CHECK_BYTES,
  parseAgentCheck,
} from './agent-check.ts';
import type { LoadWish } from './load-report.ts';
import { isRejection } from './rejections.ts';
import { checkWish, WISH_LIMITS } from './report-limits.ts';

function parse(text: string): AgentCheckAnswer {
  const result = parseAgentCheck(Buffer.from(text));
  if (isRejection(result)) throw new Error(`${result.rejected}: ${result.detail}`);
  return result;
}

const ANSWERS: readonly (readonly [string, LoadWish, string[]?])[] = [
  ['\n', {}],
  [' \t,, \r\n', {}],
  ['75%\n', { weightPercent: 75 }],
  ['0%\n', { weightPercent: 0 }],
  ['250%\r', { weightPercent: 250 }],
  ['weight:50\n', { weight: 50 }],
  ['weight:0\n', { weight: 0 }],
  ['weight:256\n', { weight: 256 }],
  ['weight:30%\n', { weightPercent: 30 }],
  ['maxconn:30\n', { connectionLimit: 30 }],
  ['maxconn:0\n', { connectionLimit: 0 }],
  ['ready\n', { administrative: 'ready' }],
  ['drain\n', { administrative: 'drain' }],
  ['maint\n', { administrative: 'maint' }],
  ['up\n', { operational: 'up' }],
  ['down\n', { operational: 'down' }],
  ['fail\n', { operational: 'down' }],
  ['stopped\n', { operational: 'down' }],
  ['down #disk is full\n', { operational: 'down', reason: 'disk is full' }],
  ['fail#  disk, full # twice \n', { operational: 'down', reason: 'disk, full # twice' }],
  ['up #all is well\n', { operational: 'up' }],
  ['#nothing\n', {}],
  ['down #\n', { operational: 'down' }],
  // The answer of HAProxy's own tests.
  [
    '75%,maxconn:30,maint,down\n',
    { weightPercent: 75, connectionLimit: 30, administrative: 'maint', operational: 'down' },
  ],
  [
    'up\tready maxconn:5 ,75%\n',
    { weightPercent: 75, connectionLimit: 5, administrative: 'ready', operational: 'up' },
  ],
  ['UP Ready MAXCONN:5\n', { connectionLimit: 5, administrative: 'ready', operational: 'up' }],
  ['drain ready up down\n', { administrative: 'ready', operational: 'down' }],
  ['75% weight:9\n', { weight: 9 }],
  ['weight:9 75% 80%\n', { weightPercent: 80 }],
  ['up\nmaint\n', { operational: 'up' }],
  ['up\rmaint\n', { operational: 'up' }],
  // What is not understood is left out, the rest counts.
  ['up hello\n', { operational: 'up' }, ['hello']],
  ['up weight:257\n', { operational: 'up' }, ['weight:257']],
  ['up 10001%\n', { operational: 'up' }, ['10001%']],
  ['up -5% 5%%\n', { operational: 'up' }, ['-5%', '5%%']],
  ['up 75 1e3% 7.5%\n', { operational: 'up' }, ['75', '1e3%', '7.5%']],
  ['up weight: maxconn: %\n', { operational: 'up' }, ['weight:', 'maxconn:', '%']],
  ['up maxconn:-1 maxconn:5%\n', { operational: 'up' }, ['maxconn:-1', 'maxconn:5%']],
  ['up maxconn:2147483648\n', { operational: 'up' }, ['maxconn:2147483648']],
  ['up \u001b[2J\u0000\n', { operational: 'up' }, ['·[2J·']],
];

describe('an answer to agent-check', () => {
  it.each(ANSWERS.map(([answer]) => answer))('%j', (answer) => {
    const [, wish, ignored = []] = ANSWERS.find(([each]) => each === answer)!;
    expect(parse(answer)).toEqual({ wish, ignored });
  });

  it.each([
    ['', 'malformed'],
    ['up', 'malformed'],
    ['hello\n', 'malformed'],
    ['HTTP/1.1 200 OK\r\n', 'malformed'],
    [`up ${'x'.repeat(MAX_AGENT_CHECK_BYTES)}\n`, 'too-large'],
    ['x'.repeat(MAX_AGENT_CHECK_BYTES + 1), 'too-large'],
  ])('%j is refused', (answer, reason) => {
    expect(parseAgentCheck(Buffer.from(answer))).toMatchObject({ rejected: reason });
  });

  it('is known to be complete at its first CR or LF', () => {
    expect(agentCheckLine(Buffer.from('up ready'))).toBeUndefined();
    expect(agentCheckLine(Buffer.from('up ready\r'))).toBe('up ready');
  });

  it('keeps a reason short and printable', () => {
    const { wish } = parse(`down #\u0007${'x'.repeat(500)}\n`);
    expect(wish.reason).toBe(`·${'x'.repeat(WISH_LIMITS.reasonCharacters - 1)}`);
    expect(parse('down #größe \u00ff\n').wish.reason).toBe('größe \u00ff');
  });
});

describe('a wish', () => {
  it('becomes the line of an answer', () => {
    expect(formatAgentCheck({})).toBe('\n');
    expect(formatAgentCheck({ weightPercent: 49.6, operational: 'up' })).toBe('50% up\n');
    const down: LoadWish = { operational: 'down', reason: 'bad\nluck' };
    expect(formatAgentCheck(down)).toBe('down #bad·luck\n');
    expect(formatAgentCheck({ ...down, operational: 'up' })).toBe('up\n');
  });

  it('comes back as it was', () => {
    for (const [, wish] of ANSWERS) {
      expect(parse(formatAgentCheck(wish)).wish).toEqual(wish);
    }
  });
});

describe('bytes from anywhere', () => {
  it('end as a wish within its limits or as a rejection', () => {
    const seed = Number(process.env.FUZZ_SEED ?? randomBytes(4).readInt32LE());
    const random = new Prng(seed);
    const pieces = ANSWERS.flatMap(([answer]) => answer.split(/(?=[ ,:%#\n])/));
    let accepted = 0;
    for (let i = 0; i < 100_000; i++) {
      let text = '';
      for (let n = random.below(8); n > 0; n--) text += pieces[random.below(pieces.length)];
      const bytes = Buffer.from(`${text}\n`);
      if (random.below(2) === 0) bytes[random.below(bytes.length)] = random.next();
      const result = parseAgentCheck(bytes);
      if (isRejection(result)) continue;
      accepted++;
      // The same rules as for a wish in a signed report.
      expect(checkWish(result.wish), `seed ${seed}: ${bytes.toString('hex')}`).toEqual(result.wish);
    }
    expect(accepted).toBeGreaterThan(10_000);
  });
});
