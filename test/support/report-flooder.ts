// An agent that says its load far too often: signed reports, each with the next sequence number, at a
// rate. Runs as a process on a server; SIGTERM ends it. Writes one JSON line at its end: how many it has
// sent, and in how many seconds.
// Run as: report-flooder.js '{"address":"10.2.0.9","port":7360,"agent":"b1","key":"…","rate":10000}'

import { randomBytes } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { argv, stdout } from 'node:process';
import { BOOT_ID_BYTES, signReport } from '../../src/load/signed-report.ts';

export interface ReportFlooderOptions {
  address: string;
  port: number;
  agent: string;
  /** In hexadecimal digits. */
  key: string;
  backend: string;
  /** Reports per second. */
  rate: number;
}

const TURN_MS = 2;
const CATCH_UP = 200;

const { address, port, agent, key, backend, rate } = JSON.parse(argv[2]) as ReportFlooderOptions;
const keyBytes = Buffer.from(key, 'hex');
const bootId = randomBytes(BOOT_ID_BYTES).toString('hex');
const socket = createSocket('udp4');
socket.on('error', () => {});
const begun = performance.now();
let due = 0;
let last = begun;
let sent = 0;

setInterval(() => {
  const now = performance.now();
  due = Math.min(due + ((now - last) * rate) / 1000, CATCH_UP);
  last = now;
  for (; due >= 1; due -= 1) {
    sent += 1;
    const backends = [{ backend, figures: { cpuUtilization: 0.5 } }];
    const report = { agent, bootId, sequence: sent, wallClockMs: Date.now(), backends };
    socket.send(signReport(report, keyBytes), port, address);
  }
}, TURN_MS);

process.on('SIGTERM', () => {
  const seconds = (performance.now() - begun) / 1000;
  stdout.write(`${JSON.stringify({ sent, seconds })}\n`, () => process.exit(0));
});
stdout.write('{}\n');
