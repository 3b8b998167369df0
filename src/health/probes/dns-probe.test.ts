// DNS: messages byte by byte, dnsmasq, and servers that answer what was not asked.

import { createSocket, type Socket } from 'node:dgram';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Prng } from '../../base/prng.ts';
import { comparableAddress, encodeQuery, labelsOf, readAnswer } from './dns-message.ts';
import { ask, closedPort, program, startProgram } from './probe.harness.ts';

const dnsmasq = program('dnsmasq');
const QUERY = encodeQuery(0x1234, 'www.Example.com', 'A');

/** A message in answer to `query`: flags, counts, and what follows the question. */
function reply(query: Buffer, flags: number, answers = 0, rest: readonly number[] = []): Buffer {
  const message = Buffer.concat([query, Buffer.from(rest)]);
  message.writeUInt16BE(flags, 2);
  message.writeUInt16BE(answers, 6);
  return message;
}

const A_RECORD = [0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 1];

describe('DNS messages', () => {
  it('encodes a query (RFC 1035 section 4.1)', () => {
    expect(QUERY.toString('hex')).toBe(
      '123401000001000000000000' + '03777777074578616d706c6503636f6d00' + '00010001',
    );
    expect(encodeQuery(1, '.', 'NS').toString('hex')).toBe(
      '000101000001000000000000' + '0000020001',
    );
  });

  it('takes names of DNS and no other', () => {
    expect(labelsOf('.')).toEqual([]);
    expect(labelsOf('a.b.')).toEqual(['a', 'b']);
    for (const name of ['', 'a..b', '..', 'a b', 'ä.de', 'x'.repeat(64), 'abc.'.repeat(64)]) {
      expect(labelsOf(name), name).toBeUndefined();
    }
  });

  it('reads the code, the count and the addresses of an answer', () => {
    const answer = readAnswer(reply(QUERY, 0x8180, 1, A_RECORD), QUERY);
    expect(answer).toEqual({
      responseCode: 0,
      responseName: 'NOERROR',
      answers: 1,
      addresses: ['192.0.2.1'],
    });
    expect(readAnswer(reply(QUERY, 0x8183), QUERY)).toMatchObject({ responseName: 'NXDOMAIN' });
    expect(readAnswer(reply(QUERY, 0x818b), QUERY)).toMatchObject({ responseName: 'RCODE 11' });
    const lowerCase = reply(encodeQuery(0x1234, 'WWW.example.com', 'A'), 0x8180);
    expect(readAnswer(lowerCase, QUERY)).toMatchObject({ answers: 0 });
  });

  it.each([
    ['another id', reply(encodeQuery(0x1235, 'www.example.com', 'A'), 0x8180)],
    ['another name', reply(encodeQuery(0x1234, 'wwx.example.com', 'A'), 0x8180)],
    ['another type', reply(encodeQuery(0x1234, 'www.example.com', 'AAAA'), 0x8180)],
    ['no answer but a query', reply(QUERY, 0x0100)],
    ['another opcode', reply(QUERY, 0x8980)],
    ['a truncated header', QUERY.subarray(0, 11)],
    ['a truncated question', reply(QUERY, 0x8180).subarray(0, 20)],
  ])('takes %s for foreign', (_name, message) => {
    expect(readAnswer(message, QUERY)).toBe('foreign');
  });

  it('takes an error without a question', () => {
    const bare = Buffer.from('123481810000000000000000', 'hex');
    expect(readAnswer(bare, QUERY)).toMatchObject({ responseName: 'FORMERR' });
  });

  it('reads any bytes, and reads no address beyond the end', () => {
    const whole = reply(QUERY, 0x8180, 1, A_RECORD);
    for (let size = 0; size < whole.length; size++) {
      const answer = readAnswer(whole.subarray(0, size), QUERY);
      if (answer !== 'foreign') expect(answer.addresses).toEqual([]);
    }
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 600 }), fc.nat(0xffff), (bytes, count) => {
        const message = reply(QUERY, 0x8180, count, [...bytes]);
        expect(readAnswer(message, QUERY)).not.toBe('foreign');
        readAnswer(Buffer.from(bytes), QUERY);
      }),
      { seed: 11, numRuns: 3_000 },
    );
  });

  it('compares addresses however they are written', () => {
    expect(comparableAddress('2001:DB8::1')).toBe('2001:db8:0:0:0:0:0:1');
    expect(comparableAddress('::')).toBe('0:0:0:0:0:0:0:0');
    expect(comparableAddress('1:2:3:4:5:6:7:8')).toBe('1:2:3:4:5:6:7:8');
    expect(comparableAddress('192.0.2.1')).toBe('192.0.2.1');
  });
});

/** A UDP server that answers each datagram by `answer`. */
async function udpServer(
  answer: (message: Buffer) => readonly Buffer[],
): Promise<{ socket: Socket; port: number }> {
  const socket = createSocket('udp4');
  socket.on('message', (message, from) => {
    for (const each of answer(message)) socket.send(each, from.port, from.address);
  });
  await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve));
  return { socket, port: socket.address().port };
}

const DNS = { type: 'dns', query: 'www.example.com', timeoutMs: 2_000 } as const;

describe('the DNS probe', () => {
  it('waits for the answer that fits, through those that do not', async () => {
    const { socket, port } = await udpServer((query) => [
      Buffer.from('garbage'),
      reply(encodeQuery(query.readUInt16BE(0) ^ 1, 'www.example.com', 'A'), 0x8183),
      reply(query, 0x8180, 1, A_RECORD),
    ]);
    expect(await ask(DNS, port)).toMatchObject({ ok: true, detail: 'answered NOERROR, 1 records' });
    const wanted = { ...DNS, expectAddress: '192.0.2.1' };
    expect(await ask(wanted, port)).toMatchObject({ ok: true, detail: 'answered 192.0.2.1' });
    const other = await ask({ ...DNS, expectAddress: '192.0.2.2' }, port);
    expect(other.detail).toBe('answered 192.0.2.1, wanted 192.0.2.2');
    expect(other.ok).toBe(false);
    socket.close();
  });

  it('says that only foreign datagrams came', async () => {
    const { socket, port } = await udpServer(() => [Buffer.from('garbage')]);
    const result = await ask({ ...DNS, timeoutMs: 200 }, port);
    expect(result.detail).toBe('no answer that fits the question (1 did not) within 200 ms');
    socket.close();
  });

  it('says that nothing listens there', async () => {
    const result = await ask(DNS, await closedPort());
    expect(result).toMatchObject({ ok: false, detail: 'port unreachable: nothing listens there' });
  });

  it('survives 2000 datagrams of random bytes in one check', async () => {
    const prng = new Prng(5);
    const noise = () => Buffer.from(Array.from({ length: prng.below(90) }, () => prng.below(256)));
    const { socket, port } = await udpServer(() => Array.from({ length: 2_000 }, noise));
    expect((await ask({ ...DNS, timeoutMs: 500 }, port)).ok).toBe(false);
    socket.close();
  });

  it.skipIf(dnsmasq === undefined)('asks dnsmasq', async () => {
    const port = await closedPort();
    const records = ['--address=/here.test/192.0.2.7', '--address=/six.test/2001:db8::7'];
    const where = ['--listen-address=127.0.0.1', '--bind-interfaces', `--port=${port}`];
    const quiet = ['--keep-in-foreground', '--no-resolv', '--no-hosts', '--conf-file=/dev/null'];
    const none = ['--pid-file=', '--user=root', '--local=/gone.test/'];
    const child = await startProgram(dnsmasq!, [...quiet, ...none, ...where, ...records], port);
    try {
      const query = (name: string, more = {}) => ask({ ...DNS, query: name, ...more }, port);
      expect(await query('here.test', { expectAddress: '192.0.2.7' })).toMatchObject({ ok: true });
      const six = { record: 'AAAA', expectAddress: '2001:DB8:0::7' } as const;
      expect(await query('six.test', six)).toMatchObject({ ok: true });
      expect((await query('x.gone.test')).detail).toBe('answered NXDOMAIN');
      expect((await query('elsewhere.example')).detail).toBe('answered REFUSED');
    } finally {
      child.kill('SIGKILL');
    }
  });
});

describe('the UDP probe', () => {
  const UDP = { type: 'udp', timeoutMs: 300 } as const;

  it('passes by silence when no answer is expected, and by any answer', async () => {
    const silent = await udpServer(() => []);
    expect(await ask(UDP, silent.port)).toMatchObject({
      ok: true,
      detail: 'not refused within 300 ms',
    });
    silent.socket.close();
    const loud = await udpServer(() => [Buffer.from('abc')]);
    expect(await ask(UDP, loud.port)).toMatchObject({ ok: true, detail: 'answered 3 bytes' });
    loud.socket.close();
  });

  it('fails when the port is unreachable', async () => {
    const result = await ask({ ...UDP, timeoutMs: 2_000 }, await closedPort());
    expect(result).toMatchObject({ ok: false, detail: 'port unreachable: nothing listens there' });
  });

  it('sends what it was told and looks for what is expected', async () => {
    const echo = await udpServer((message) => [message, Buffer.concat([message, message])]);
    const both = { ...UDP, send: 'ping', expect: 'pingping' };
    expect(await ask(both, echo.port)).toMatchObject({ ok: true, detail: 'answered as expected' });
    expect(await ask({ ...UDP, sendHex: '00ff', expectHex: 'ff00' }, echo.port)).toMatchObject({
      ok: true,
    });
    expect((await ask({ ...UDP, send: 'ping', expect: 'pong' }, echo.port)).detail).toBe(
      "no answer as expected, but 'pingping', within 300 ms",
    );
    echo.socket.close();
  });
});
