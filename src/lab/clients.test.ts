import { describe, expect, it } from 'vitest';
import { parseDig, parseWrk } from './clients.ts';

const WRK_OUTPUT = `Running 2s test @ http://10.1.0.100/
  1 threads and 16 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   312.52us  110.31us   4.10ms   93.21%
    Req/Sec    50.21k     2.35k   53.90k    71.43%
  Latency Distribution
     50%  301.00us
     75%    1.25ms
     90%    2.00s
     99%  599.00us
  104886 requests in 2.10s, 17.31MB read
  Socket errors: connect 1, read 2, write 3, timeout 4
  Non-2xx or 3xx responses: 7
Requests/sec:  49946.12
Transfer/sec:      8.24MB
`;

describe('parseWrk', () => {
  it('reads every number in its unit', () => {
    expect(parseWrk(WRK_OUTPUT)).toEqual({
      requests: 104886,
      requestsPerSecond: 49946.12,
      bytesPerSecond: 8.24 * 1024 * 1024,
      seconds: 2.1,
      badAnswers: 7,
      socketErrors: { connect: 1, read: 2, write: 3, timeout: 4 },
      latencyMs: { p50: 0.301, p75: 1.25, p90: 2000, p99: 0.599 },
    });
  });

  it('takes missing lines of errors as none', () => {
    const text = WRK_OUTPUT.split('\n')
      .filter((line) => !/errors|Non-2xx/.test(line))
      .join('\n');
    const result = parseWrk(text);
    expect(result.badAnswers).toBe(0);
    expect(result.socketErrors).toEqual({ connect: 0, read: 0, write: 0, timeout: 0 });
  });

  it('refuses output without a result', () => {
    expect(() => parseWrk('unable to connect to 10.1.0.100:80')).toThrow(/no result/);
  });
});

function digAnswer(name: string, status: string, lines: string[]): string {
  const section = lines.length === 0 ? '' : `;; ANSWER SECTION:\n${lines.join('\n')}\n\n`;
  return `;; Got answer:
;; ->>HEADER<<- opcode: QUERY, status: ${status}, id: 1
;; QUESTION SECTION:
;${name}.\t\tIN\tA

${section};; Query time: 0 msec
`;
}

describe('parseDig', () => {
  it('gives each question its own answer, in the order of the questions', () => {
    const text = [
      digAnswer('a.lab', 'NOERROR', ['a.lab.\t0\tIN\tA\t192.0.2.1', 'a.lab.\t0\tIN\tA\t192.0.2.2']),
      ';; communications error to 10.1.0.100#53: timed out\n',
      digAnswer('c.lab', 'NXDOMAIN', []),
    ].join('\n');
    expect(parseDig(text, ['a.lab', 'b.lab', 'c.lab'])).toEqual([
      { name: 'a.lab', status: 'NOERROR', answers: ['192.0.2.1', '192.0.2.2'] },
      { name: 'b.lab', status: 'NO ANSWER', answers: [] },
      { name: 'c.lab', status: 'NXDOMAIN', answers: [] },
    ]);
  });

  it('keeps two questions for the same name apart', () => {
    const text = digAnswer('a.lab', 'NOERROR', ['a.lab.\t0\tIN\tA\t192.0.2.1']);
    const statuses = parseDig(text, ['a.lab', 'a.lab']).map(({ status }) => status);
    expect(statuses).toEqual(['NOERROR', 'NO ANSWER']);
  });
});
