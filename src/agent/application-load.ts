// What the application says about itself: posted to the agent's local endpoint by the library
// (load-reporter.ts) or by any program. Several processes of one service (workers of a cluster)
// report each under a name of its own and are put together here: what is counted is added up,
// shares are averaged, the mean time of a request is weighted with how many requests each process
// had.
//
// Invariant: what was posted counts for `expiryMs` and no longer, so an application that died says
// nothing, but for one thing: if it had asked to be drained or for maintenance and nobody has posted
// since, that stands, because who is about to go falls silent first. Memory is bounded by MAX_REPORTERS for each backend of the agent.

import type { LoadFigure, LoadFigures, LoadWish } from '../load/load-report.ts';
import { isRejection, type Rejection, rejection } from '../load/rejections.ts';
import { checkContent, isPlainObject } from '../load/report-limits.ts';

/** Processes that report about one backend at the same time. */
export const MAX_REPORTERS = 256;
const MAX_REPORTER_CHARACTERS = 64;

interface Post {
  readonly figures: LoadFigures;
  readonly wish: LoadWish | undefined;
  readonly atMs: number;
}

export interface ApplicationReport {
  readonly figures: LoadFigures;
  readonly wish?: LoadWish;
}

const ADDED: readonly LoadFigure[] = [
  'clients',
  'connectionsPerSecond',
  'requestsPerSecond',
  'errorsPerSecond',
];
const AVERAGED: readonly LoadFigure[] = [
  'cpuUtilization',
  'memoryUtilization',
  'applicationUtilization',
  'cpuPressure',
  'memoryPressure',
  'ioPressure',
];

/** Keeps the newest post of each process. */
export class ApplicationLoad {
  private posts: ReadonlyMap<string, Map<string, Post>> = new Map();
  private expiryMs = 0;
  /** By backend: what the last process that fell silent had asked for. */
  private readonly left = new Map<string, LoadWish>();

  /** @param backends those that may be spoken of */
  constructor(backends: readonly string[], expiryMs: number) {
    this.follow(backends, expiryMs);
  }

  /** Others may be spoken of from now on; of those that stay, what was said stays. */
  follow(backends: readonly string[], expiryMs: number): void {
    const before = this.posts;
    this.posts = new Map(backends.map((backend) => [backend, before.get(backend) ?? new Map()]));
    this.expiryMs = expiryMs;
    for (const backend of this.left.keys()) if (!this.posts.has(backend)) this.left.delete(backend);
  }

  /**
   * Takes a post: {"backend":…, "reporter":…, "figures":{…}, "wish":{…}}, all but the figures optional; the
   * backend only where the agent has one.
   *
   * @param nowMs monotonic milliseconds
   * @returns why it was refused, undefined when it was taken
   */
  post(body: unknown, nowMs: number): Rejection | undefined {
    if (!isPlainObject(body)) return rejection('malformed', 'the body is not a JSON object');
    const { backend = this.onlyBackend(), reporter = '' } = body;
    if (typeof backend !== 'string') {
      const known = [...this.posts.keys()].join(', ');
      return rejection('malformed', `backend has to be one of ${known}`);
    }
    if (typeof reporter !== 'string' || reporter.length > MAX_REPORTER_CHARACTERS) {
      const most = MAX_REPORTER_CHARACTERS;
      return rejection('malformed', `reporter is not a text of at most ${most} characters`);
    }
    const posts = this.posts.get(backend);
    if (posts === undefined) return rejection('wrong-backend', `'${backend}' is not this agent's`);
    const content = checkContent(body.figures ?? {}, body.wish);
    if (isRejection(content)) return content;
    this.forget(backend, posts, nowMs);
    if (posts.size >= MAX_REPORTERS && !posts.has(reporter)) {
      return rejection('too-many', `${MAX_REPORTERS} reporters speak for ${backend} already`);
    }
    this.left.delete(backend);
    posts.set(reporter, { figures: content.figures, wish: content.wish, atMs: nowMs });
    return undefined;
  }

  /** What the processes of a backend say together; undefined when none has posted lately. */
  report(backend: string, nowMs: number): ApplicationReport | undefined {
    const posts = this.posts.get(backend);
    if (posts === undefined) return undefined;
    this.forget(backend, posts, nowMs);
    const all = [...posts.values()];
    if (all.length === 0) return undefined;
    const wishes = all.filter(({ wish }) => wish !== undefined).sort((a, b) => b.atMs - a.atMs);
    const wish = wishes[0]?.wish;
    const figures = combine(all.map((post) => post.figures));
    return wish === undefined ? { figures } : { figures, wish };
  }

  private onlyBackend(): string | undefined {
    return this.posts.size === 1 ? [...this.posts.keys()][0] : undefined;
  }

  /** What stands of a backend's wishes when nobody speaks for it; asked after `report`. */
  lastWish(backend: string): LoadWish | undefined {
    return this.left.get(backend);
  }

  private forget(backend: string, posts: Map<string, Post>, nowMs: number): void {
    let last: Post | undefined;
    for (const [reporter, post] of posts) {
      if (nowMs - post.atMs <= this.expiryMs) continue;
      if (last === undefined || post.atMs >= last.atMs) last = post;
      posts.delete(reporter);
    }
    const administrative = last?.wish?.administrative;
    if (posts.size > 0 || administrative === undefined || administrative === 'ready') return;
    this.left.set(backend, { administrative });
  }
}

function combine(all: readonly LoadFigures[]): LoadFigures {
  if (all.length === 1) return all[0];
  const figures: { -readonly [figure in LoadFigure]?: number } = {};
  for (const figure of [...ADDED, ...AVERAGED]) {
    const values = all.map((each) => each[figure]).filter((value) => value !== undefined);
    if (values.length === 0) continue;
    const sum = values.reduce((total, value) => total + value, 0);
    figures[figure] = AVERAGED.includes(figure) ? sum / values.length : sum;
  }
  const time = meanTime(all);
  if (time !== undefined) figures.executionTimeMs = time;
  return figures;
}

function meanTime(all: readonly LoadFigures[]): number | undefined {
  let sum = 0;
  let weights = 0;
  for (const { executionTimeMs, requestsPerSecond = 1 } of all) {
    if (executionTimeMs === undefined) continue;
    // A process without requests just now still knows a time: it counts a little.
    const weight = Math.max(requestsPerSecond, 1e-6);
    sum += executionTimeMs * weight;
    weights += weight;
  }
  return weights === 0 ? undefined : sum / weights;
}
