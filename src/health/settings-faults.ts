// What is wrong with health settings beyond the type of each value: control asks before it takes a
// configuration, so that no check fails for ever because of a misspelt pattern.
// Invariant: with settings that have no fault here, no probe fails for a reason of the settings.

import { isIP } from 'node:net';
import { parseHex, parsePattern, parseStatusRanges } from './matchers.ts';
import { MAX_WINDOW_MS } from './passive.ts';
import { labelsOf } from './probes/dns-message.ts';
import type { HealthSettings, PassiveSettings } from './settings.ts';

export interface SettingsFault {
  /** The configuration's key: 'fast-interval'. */
  readonly key: string;
  readonly fault: string;
}

/** Largest payload of `send`: what fits one datagram on any network. */
const MAX_PAYLOAD_BYTES = 1_200;
/** Shortest interval and timeout; what is faster loads servers more than it tells of them. */
const MIN_INTERVAL_MS = 50;

/** Faults of an active check; empty when there is none. */
export function healthFaults(settings: HealthSettings): SettingsFault[] {
  const faults = timingFaults(settings);
  const { type } = settings;
  if (type === 'http' || type === 'https') faults.push(...httpFaults(settings));
  if (type === 'dns') faults.push(...dnsFaults(settings));
  if (type === 'udp') faults.push(...udpFaults(settings));
  if (type === 'script' && !settings.command[0]?.startsWith('/')) {
    const fault = "names the program by its whole path: ['/usr/local/bin/check', 'argument']";
    faults.push({ key: 'command', fault });
  }
  if (settings.command.some((part) => part.includes('\0'))) {
    faults.push({ key: 'command', fault: 'has a zero character in it' });
  }
  return faults;
}

/** Faults of passive observation; empty when there is none. */
export function passiveFaults(settings: PassiveSettings): SettingsFault[] {
  const faults: SettingsFault[] = [];
  if (settings.unanswered === 0 && settings.resets === 0) {
    faults.push({ key: 'unanswered', fault: 'is off, and resets too: nothing is observed' });
  }
  if (settings.windowMs < 1_000 || settings.windowMs > MAX_WINDOW_MS) {
    faults.push({ key: 'window', fault: 'must be from 1s to 10m' });
  }
  if (settings.resets < 0 || settings.resets > 100) {
    faults.push({ key: 'resets', fault: 'is a percentage, 0 to 100' });
  }
  return faults;
}

function timingFaults(settings: HealthSettings): SettingsFault[] {
  const faults: SettingsFault[] = [];
  const add = (key: string, fault: string) => faults.push({ key, fault });
  if (settings.intervalMs < MIN_INTERVAL_MS) add('interval', 'must be 50ms or more');
  if (settings.fastIntervalMs < MIN_INTERVAL_MS) add('fast-interval', 'must be 50ms or more');
  if (settings.timeoutMs < 1) add('timeout', 'must be above 0');
  if (settings.jitter < 0 || settings.jitter > 50) add('jitter', 'is a percentage, 0 to 50');
  if (settings.rise < 1) add('rise', 'must be 1 or more');
  if (settings.fall < 1) add('fall', 'must be 1 or more');
  if (settings.holdMaxMs < settings.holdMs) add('hold-max', 'must not be below hold');
  return faults;
}

function httpFaults(settings: HealthSettings): SettingsFault[] {
  const faults: SettingsFault[] = [];
  if (!/^[A-Z]+$/.test(settings.method) || settings.method === 'CONNECT') {
    faults.push({ key: 'method', fault: 'is a method in capitals: GET, HEAD, OPTIONS, POST' });
  }
  if (!/^(?:\/|\*$)[\x21-\x7e]*$/.test(settings.path)) {
    faults.push({ key: 'path', fault: "begins with '/' and has no spaces (write %20)" });
  }
  if (settings.host !== undefined && !/^[\x21-\x7e]+$/.test(settings.host)) {
    faults.push({ key: 'host', fault: 'is a host name, or one with :port' });
  }
  if (settings.serverName !== undefined && !isServerName(settings.serverName)) {
    faults.push({ key: 'server-name', fault: 'is a host name, not an address' });
  }
  if (parseStatusRanges(settings.status) === undefined) {
    faults.push({ key: 'status', fault: "is like '200-399' or '200,204', from 100 to 599" });
  }
  if (settings.body !== undefined && settings.method === 'HEAD') {
    faults.push({ key: 'body', fault: 'cannot be checked with HEAD, whose answers have none' });
  }
  try {
    if (settings.body !== undefined) parsePattern(settings.body);
  } catch (error) {
    faults.push({ key: 'body', fault: (error as Error).message });
  }
  return faults;
}

function isServerName(name: string): boolean {
  return isIP(name) === 0 && labelsOf(name) !== undefined;
}

function dnsFaults(settings: HealthSettings): SettingsFault[] {
  const faults: SettingsFault[] = [];
  if (labelsOf(settings.query ?? '') === undefined) {
    faults.push({ key: 'query', fault: "is the name to ask for, e.g. example.com, or '.'" });
  }
  const { expectAddress, record } = settings;
  if (expectAddress === undefined) return faults;
  const wanted = isIP(expectAddress);
  if (wanted === 0) faults.push({ key: 'expect-address', fault: 'is an IP address' });
  else if (record !== (wanted === 4 ? 'A' : 'AAAA')) {
    const fault = `of this kind stands in records of type ${wanted === 4 ? 'A' : 'AAAA'} only`;
    faults.push({ key: 'expect-address', fault });
  }
  return faults;
}

function udpFaults(settings: HealthSettings): SettingsFault[] {
  const faults: SettingsFault[] = [];
  const check = (key: string, text: string | undefined, hex: string | undefined): void => {
    const bytes = hex === undefined ? Buffer.from(text ?? '') : parseHex(hex);
    if (text !== undefined && hex !== undefined) {
      faults.push({ key, fault: `cannot stand beside ${key}-hex` });
    }
    if (bytes === undefined) faults.push({ key: `${key}-hex`, fault: "is like '00ff'" });
    else if (bytes.length > MAX_PAYLOAD_BYTES) {
      faults.push({ key, fault: `is above ${MAX_PAYLOAD_BYTES} bytes` });
    }
  };
  check('send', settings.send, settings.sendHex);
  check('expect', settings.expect, settings.expectHex);
  return faults;
}
