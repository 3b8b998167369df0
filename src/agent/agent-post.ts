// Posts an application's load to the agent on this machine (local-endpoint.ts), over one connection
// that is kept. Part of the library `weir/agent`: it must never disturb the application, so nothing
// is queued, nothing is thrown, and an idle connection does not keep the process running.

import { Agent, type ClientRequest, request } from 'node:http';

const TIMEOUT_MS = 2_000;
const MAX_ANSWER_BYTES = 4096;

/** Sends the newest report; one that is still under way makes the next one wait for its turn. */
export class AgentPost {
  private readonly url: URL;
  private readonly onChange: (problem: string | undefined) => void;
  private readonly agent = new Agent({ keepAlive: true, maxSockets: 1 });
  private underWay: ClientRequest | undefined;
  private problem: string | undefined;
  private isClosed = false;

  /**
   * @param onChange called when posting begins to fail, and when it works again
   * @throws TypeError when it is not a URL
   */
  constructor(url: string, onChange: (problem: string | undefined) => void) {
    this.url = new URL('/v1/load', url);
    this.onChange = onChange;
  }

  send(report: object): void {
    if (this.underWay !== undefined || this.isClosed) return;
    const body = JSON.stringify(report);
    const headers = {
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(body),
    };
    const post = request(this.url, { method: 'POST', agent: this.agent, headers });
    this.underWay = post;
    post.on('socket', (socket) => socket.unref());
    post.setTimeout(TIMEOUT_MS, () => post.destroy(new Error('no answer')));
    post.on('error', (error: NodeJS.ErrnoException) => this.ended(error.code ?? error.message));
    post.on('response', (answer) => {
      let text = '';
      answer.setEncoding('utf8');
      answer.on('data', (part: string) => {
        if (text.length < MAX_ANSWER_BYTES) text += part;
      });
      answer.on('error', () => this.ended('the answer broke off'));
      answer.on('end', () => {
        const isGood = answer.statusCode === 204;
        this.ended(isGood ? undefined : `${answer.statusCode} ${text.trim()}`);
      });
    });
    post.on('close', () => {
      if (this.underWay === post) this.ended('the connection ended without an answer');
    });
    post.end(body);
  }

  close(): void {
    this.isClosed = true;
    this.underWay?.destroy();
    this.agent.destroy();
  }

  private ended(problem: string | undefined): void {
    this.underWay = undefined;
    if (this.isClosed || problem === this.problem) return;
    this.problem = problem;
    this.onChange(problem);
  }
}
