// The library `weir/agent`: an application tells its load to the weir agent on its machine, or,
// where there is none, by signed reports of its own to the resource managers.
//
//   import { loadReporter } from 'weir/agent';
//   loadReporter({ backend: 'web/b1' }).watch(server);
//
// Invariant: it never throws into the application after its start, never keeps the process running,
// and holds at most one request or datagram at a time; when nobody listens, nothing is queued.

import { threadId } from 'node:worker_threads';
import { readKeyFile } from '../load/key-file.ts';
import type { LoadFigures, LoadWish } from '../load/load-report.ts';
import { isRejection } from '../load/rejections.ts';
import { checkFigures, checkWish } from '../load/report-limits.ts';
import { isAgentName, isBackendKey, MIN_KEY_BYTES } from '../load/signed-report.ts';
import { AgentPost } from './agent-post.ts';
import { parseEndpoint, ReportSender } from './report-sender.ts';
import { RequestMeter, type WatchedServer } from './request-meter.ts';

export type { LoadFigures, LoadWish } from '../load/load-report.ts';

/** Reports without an agent on the machine. */
export interface SignedReporting {
  /** The agent's name in the resource manager's configuration. */
  readonly agent: string;
  /** The file with its key, or the key itself: at least 16 bytes, or as many in hexadecimal digits. */
  readonly keyFile?: string;
  readonly key?: Uint8Array | string;
  /** Resource managers, each as 'address:port'. */
  readonly to: readonly string[];
}

export interface LoadReporterOptions {
  /** 'service/backend'; may be left out when the agent has only one. */
  readonly backend?: string;
  /** Where the agent listens. */
  readonly url?: string;
  /** How often, in milliseconds; 100 to 60,000. */
  readonly intervalMs?: number;
  /** What says how busy the application is: its event loop, its requests under way, or nothing. */
  readonly utilization?: 'event-loop' | 'concurrency' | 'none';
  /** How many requests it can work on at once, for 'concurrency'. */
  readonly concurrency?: number;
  /** How long figures given by `report` are repeated, in milliseconds. */
  readonly expiryMs?: number;
  readonly signed?: SignedReporting;
  /** Called when reports begin to fail (with why) and when they work again (with undefined). */
  readonly onChange?: (problem: string | undefined) => void;
}

export interface LoadReporter {
  /** Measures the requests of a server from now on. */
  watch(server: WatchedServer): LoadReporter;
  /** Gives figures by hand: they come before measured ones until they are given anew or expire. */
  report(figures: LoadFigures): void;
  /** Asks for something: { administrative: 'drain' }; undefined asks for nothing any more. */
  wish(wish: LoadWish | undefined): void;
  /** Ends reporting. */
  stop(): void;
}

const DEFAULT_URL = 'http://127.0.0.1:7362';
const DEFAULT_INTERVAL_MS = 1000;
const DEFAULT_EXPIRY_MS = 10_000;

/**
 * Begins to report.
 *
 * @throws TypeError when an option is not as it must be; WeirError when the key file cannot be used
 */
export function loadReporter(options: LoadReporterOptions = {}): LoadReporter {
  return new Reporter(options);
}

let reporters = 0;

type Send = (figures: LoadFigures, wish: LoadWish | undefined) => void;

class Reporter implements LoadReporter {
  private readonly meter: RequestMeter;
  private readonly expiryMs: number;
  private readonly send: Send;
  private readonly close: () => void;
  private readonly timer: NodeJS.Timeout;
  private given: LoadFigures = {};
  private givenAtMs = 0;
  private wanted: LoadWish | undefined;

  constructor(options: LoadReporterOptions) {
    const { backend, utilization = 'event-loop', concurrency = 1 } = options;
    const intervalMs = options.intervalMs ?? DEFAULT_INTERVAL_MS;
    if (!(intervalMs >= 100 && intervalMs <= 60_000)) {
      throw new TypeError(`intervalMs is ${intervalMs}, not 100 to 60000`);
    }
    if (!(concurrency > 0)) throw new TypeError(`concurrency is ${concurrency}, not above 0`);
    if (backend !== undefined && !isBackendKey(backend)) {
      throw new TypeError(`backend is '${backend}', not such as 'web/b1'`);
    }
    this.expiryMs = options.expiryMs ?? DEFAULT_EXPIRY_MS;
    this.meter = new RequestMeter({ utilization, concurrency });
    const { send, close } = options.signed === undefined ? toAgent(options) : toManagers(options);
    this.send = send;
    this.close = close;
    this.timer = setInterval(() => this.tick(), intervalMs);
    this.timer.unref();
  }

  watch(server: WatchedServer): LoadReporter {
    this.meter.watch(server);
    return this;
  }

  report(figures: LoadFigures): void {
    const checked = checkFigures(figures);
    if (isRejection(checked)) throw new TypeError(`${checked.rejected}: ${checked.detail}`);
    this.given = checked;
    this.givenAtMs = performance.now();
  }

  wish(wish: LoadWish | undefined): void {
    const checked = wish === undefined ? undefined : checkWish(wish);
    if (checked !== undefined && isRejection(checked)) {
      throw new TypeError(`${checked.rejected}: ${checked.detail}`);
    }
    this.wanted = checked;
  }

  stop(): void {
    clearInterval(this.timer);
    this.meter.unwatch();
    this.close();
  }

  private tick(): void {
    const isGiven = performance.now() - this.givenAtMs <= this.expiryMs;
    const figures = { ...this.meter.take(), ...(isGiven ? this.given : {}) };
    this.send(figures, this.wanted);
  }
}

function toAgent({ backend, url = DEFAULT_URL, onChange }: LoadReporterOptions) {
  const post = new AgentPost(url, onChange ?? warnOnce);
  // Each worker of a cluster, each thread and each reporter in it is one of several that are put together.
  const reporter = `${process.pid}.${threadId}.${++reporters}`;
  const send: Send = (figures, wish) => post.send({ backend, reporter, figures, wish });
  return { send, close: () => post.close() };
}

function toManagers({ backend, signed, onChange }: LoadReporterOptions) {
  const { agent, to, keyFile, key } = signed!;
  if (!isAgentName(agent)) throw new TypeError(`signed.agent is '${agent}', which is no name`);
  if (backend === undefined) throw new TypeError('signed reports need a backend');
  const endpoints = to.map((text) => {
    const endpoint = parseEndpoint(text);
    if (endpoint === undefined) throw new TypeError(`signed.to: '${text}' is no address:port`);
    return endpoint;
  });
  const sender = new ReportSender({
    agent,
    key: keyFile === undefined ? givenKey(key) : readKeyFile(keyFile).keys[0],
    to: endpoints,
    keepsRunning: false,
    onChange: (destination, problem) => {
      (onChange ?? warnOnce)(problem === undefined ? undefined : `${destination}: ${problem}`);
    },
  });
  const send: Send = (figures, wish) =>
    sender.send([wish === undefined ? { backend, figures } : { backend, figures, wish }]);
  return { send, close: () => sender.stop() };
}

function givenKey(key: Uint8Array | string | undefined): Uint8Array {
  const bytes = typeof key === 'string' ? Buffer.from(key, 'hex') : key;
  if (bytes !== undefined && bytes.length >= MIN_KEY_BYTES) return bytes;
  throw new TypeError(`signed.key or signed.keyFile: a key has at least ${MIN_KEY_BYTES} bytes`);
}

/** One line in the application's own log for each change. */
function warnOnce(problem: string | undefined): void {
  const text =
    problem === undefined ? 'load is reported again' : `load is not reported: ${problem}`;
  process.emitWarning(text, 'WeirLoadReporter');
}
