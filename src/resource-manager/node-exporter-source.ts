// Scrapes Prometheus' node_exporter: GET /metrics over HTTP, once per interval, read as it arrives.
// What is not an answer of node_exporter (another status, no figure that it has, more than
// LARGEST_BODY_BYTES) is an error of this source and gives no report.
// Invariant: one request at a time, a connection for each; nothing is kept but the sums of the last
// scrape.

import { get, type IncomingMessage } from 'node:http';
import {
  isNodeScrape,
  type NodeScrape,
  NodeScrapeReader,
  nodeFigures,
} from './node-exporter-figures.ts';
import { PollLoop } from './poll-loop.ts';
import type { PolledSource, SourceContext } from './settings.ts';

/** The real one sends some 60 KB; on hosts with hundreds of disks and interfaces a megabyte. */
export const LARGEST_BODY_BYTES = 4 * 1024 * 1024;
const LARGEST_HEADER_BYTES = 8192;

export function startNodeExporter(context: SourceContext): PolledSource {
  const { settings } = context;
  let before: { scrape: NodeScrape; atMs: number } | undefined;
  return new PollLoop({
    intervalMs: settings.intervalMs,
    timeoutMs: settings.timeoutMs,
    random: () => context.random(),
    outcome: (error) => context.outcome(error),
    attempt: async (signal) => {
      const scrape = await scrapeNode(context, signal);
      if (!isNodeScrape(scrape)) throw new Error('the answer has no figure of node_exporter');
      const atMs = context.now();
      const elapsedMs = before === undefined ? 0 : atMs - before.atMs;
      const figures = nodeFigures(scrape, before?.scrape, elapsedMs);
      before = { scrape, atMs };
      context.report(figures);
    },
  });
}

/** One scrape. Rejects with what went wrong. */
async function scrapeNode(context: SourceContext, signal: AbortSignal): Promise<NodeScrape> {
  const { address, port, path = '/metrics' } = context.settings;
  const response = await request({ host: address, port, path, signal });
  try {
    if (response.statusCode !== 200) throw new Error(`HTTP status ${response.statusCode}`);
    const reader = new NodeScrapeReader();
    // Bytes and characters are the same in what is looked for.
    response.setEncoding('latin1');
    let size = 0;
    for await (const piece of response as AsyncIterable<string>) {
      size += piece.length;
      if (size > LARGEST_BODY_BYTES) {
        throw new Error(`the answer is larger than ${LARGEST_BODY_BYTES} bytes`);
      }
      reader.push(piece);
    }
    return reader.scrape;
  } finally {
    response.destroy();
  }
}

interface Request {
  readonly host: string;
  readonly port: number;
  readonly path: string;
  readonly signal: AbortSignal;
}

function request(options: Request): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const outgoing = get(
      { ...options, agent: false, maxHeaderSize: LARGEST_HEADER_BYTES },
      resolve,
    );
    // Stays for what comes after the answer began, which is the reader's to notice.
    outgoing.on('error', reject);
  });
}
