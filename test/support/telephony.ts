// Real Internet telephony in the lab: a Kamailio between callers and the called (sipp from Debian's sip-tester),
// which has its rtpengine module send the media through weir or through Debian's rtpengine in user space, as
// the caller's header X-Relay says.
//
//   client: sipp ── external ── ext0 WEIR int0 ── internal ── b1: sipp, echoes the sound
//                      └──────── edge: Kamailio, rtpengine ──────┘
//
// SIP goes past weir; the ng protocol reaches weir's control processor over its management interface.

import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pid } from 'node:process';
import { makeScratchFolder, registerNamespace, removeNamespace } from '../../src/lab/clean-up.ts';
import { execute, ipBatch, type LabProcess, start, waitUntil } from '../../src/lab/command.ts';
import type { LabHost, LabNetwork } from '../../src/lab/network.ts';
import {
  CALLED,
  callerScenario,
  faxPackets,
  type Media,
  type RelayName,
  soundPackets,
} from './sip-scenarios.ts';

const EDGE_EXTERNAL = '10.1.0.200';
export const EDGE_INTERNAL = '10.2.0.200';
const SIP_PORT = 5060;
export const NG_PORT = 2223;
export const CALLS_PER_SECOND = 50;
const FLAGS = 'trust-address replace-origin replace-session-connection ICE=remove RTP/AVP';

function kamailioConfiguration(called: string, weirNg: string): string {
  return `#!KAMAILIO
debug=1
log_stderror=yes
fork=yes
children=4
disable_tcp=yes
auto_aliases=no
mhomed=1
listen=udp:${EDGE_EXTERNAL}:${SIP_PORT}
listen=udp:${EDGE_INTERNAL}:${SIP_PORT}
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "rr.so"
loadmodule "pv.so"
loadmodule "maxfwd.so"
loadmodule "textops.so"
loadmodule "siputils.so"
loadmodule "rtpengine.so"
modparam("rr", "enable_double_rr", 1)
modparam("rtpengine", "rtpengine_sock", "1 == udp:${weirNg}:${NG_PORT}")
modparam("rtpengine", "rtpengine_sock", "2 == udp:127.0.0.1:${NG_PORT}")
modparam("rtpengine", "rtpengine_tout_ms", 1000)

route[RELAY] {
  if ($hdr(X-Relay) == "rtpengine") $avp(relay) = 2; else $avp(relay) = 1;
  set_rtpengine_set("$avp(relay)");
}
request_route {
  if (!mf_process_maxfwd_header("10")) exit;
  route(RELAY);
  if (has_totag()) {
    if (!loose_route()) exit;
    if (is_method("BYE")) rtpengine_delete();
    if (is_method("INVITE") && has_body("application/sdp")) {
      rtpengine_offer("${FLAGS}");
      t_on_reply("ANSWER");
    }
    t_relay();
    exit;
  }
  if (is_method("CANCEL")) {
    rtpengine_delete();
    if (t_check_trans()) t_relay();
    exit;
  }
  if (!is_method("INVITE")) exit;
  t_check_trans();
  record_route();
  if (!rtpengine_offer("${FLAGS} direction=external direction=internal")) {
    sl_send_reply("503", "No Relay");
    exit;
  }
  $du = "sip:${called}:${SIP_PORT}";
  t_on_reply("ANSWER");
  t_relay();
}
onreply_route[ANSWER] {
  set_rtpengine_set("$avp(relay)");
  if (has_body("application/sdp")) rtpengine_answer("${FLAGS}");
}
`;
}

export class Telephony {
  readonly network: LabNetwork;
  readonly edge: string;
  readonly folder: string;
  private readonly processes: LabProcess[] = [];
  private asked = 0;

  /** Joins the edge to the networks of clients and servers; the first client calls the first server. */
  constructor(network: LabNetwork) {
    this.network = network;
    this.edge = `weir-${pid}-edge`;
    this.folder = makeScratchFolder('telephony');
    registerNamespace(this.edge);
    execute('ip', ['netns', 'add', this.edge]);
    ipBatch(['link set lo up'], this.edge);
    this.join('ext', network.externalNamespace as string, EDGE_EXTERNAL);
    this.join('int', network.internalNamespace, EDGE_INTERNAL);
    // sipp plays sound from ports that it has not opened: what comes back there is not refused.
    const quiet = [
      'add table ip lab',
      'add chain ip lab out { type filter hook output priority 0; }',
    ];
    quiet.push('add rule ip lab out icmp type destination-unreachable drop');
    const { namespace } = network.client;
    for (const line of quiet) execute('nft', line.split(' '), { namespace });
  }

  private join(name: string, bridgeNamespace: string, address: string): void {
    const peer = `edge-${name}`;
    ipBatch([
      `link add ${name} netns ${this.edge} type veth peer name ${peer} netns ${bridgeNamespace}`,
    ]);
    for (const [namespace, end] of [
      [this.edge, name],
      [bridgeNamespace, peer],
    ]) {
      execute('ethtool', ['-K', end, 'tx', 'off', 'gso', 'off', 'gro', 'off'], { namespace });
    }
    ipBatch([`addr add ${address}/24 dev ${name}`, `link set ${name} up`], this.edge);
    ipBatch([`link set ${peer} master br0`, `link set ${peer} up`], bridgeNamespace);
  }

  private run(program: string, args: string[], namespace: string, name = program): LabProcess {
    const logFile = join(this.folder, `${name}.log`);
    const process = start(program, args, { namespace, logFile });
    this.processes.push(process);
    return process;
  }

  /** Debian's rtpengine, without its kernel module. */
  async startRtpengine(): Promise<LabProcess> {
    const process = this.run(
      'rtpengine',
      [
        '--config-file=none',
        '--table=-1',
        '--foreground',
        '--log-stderr',
        '--log-level=5',
        `--interface=external/${EDGE_EXTERNAL}`,
        `--interface=internal/${EDGE_INTERNAL}`,
        `--listen-ng=127.0.0.1:${NG_PORT}`,
        '--port-min=30000',
        '--port-max=39999',
        `--pidfile=${join(this.folder, 'rtpengine.pid')}`,
      ],
      this.edge,
    );
    await this.listens(process, NG_PORT);
    return process;
  }

  /** @param weirNg address at which weir's control processor listens */
  async startKamailio(weirNg: string): Promise<LabProcess> {
    const file = join(this.folder, 'kamailio.cfg');
    const called = this.network.servers[0];
    writeFileSync(file, kamailioConfiguration(called.address, weirNg));
    const run = join(this.folder, 'kamailio');
    mkdirSync(run, { recursive: true });
    const args = [
      '-f',
      file,
      '-DD',
      '-E',
      '-Y',
      run,
      '-P',
      join(run, 'pid'),
      '-m',
      '64',
      '-M',
      '8',
    ];
    const process = this.run('kamailio', args, this.edge);
    await this.listens(process, SIP_PORT);
    return process;
  }

  private async listens(process: LabProcess, port: number): Promise<void> {
    const wanted = `:${port} `;
    await waitUntil(
      `port ${port} is open`,
      () => {
        const { stdout } = execute('ss', ['-Huln'], { namespace: this.edge });
        return stdout.includes(wanted) || !process.isRunning();
      },
      15_000,
      () => process.log(),
    );
    if (!process.isRunning()) throw new Error(`ended at once: ${process.log()}`);
  }

  /** Answers every call and sends back what it hears. */
  startCalled(): LabProcess {
    const { address, namespace } = this.network.servers[0];
    const file = join(this.folder, 'called.xml');
    writeFileSync(file, CALLED);
    const args = [
      '-sf',
      file,
      '-i',
      address,
      '-p',
      String(SIP_PORT),
      '-mi',
      address,
      '-mp',
      '6000',
    ];
    return this.run('sipp', [...args, '-rtp_echo', '-nostdin'], namespace, 'called');
  }

  /**
   * So many calls at once, each with the whole sound or fax.
   * @param holdMs between its first packet and the hang-up
   */
  startCalls(relay: RelayName, media: Media, count: number, holdMs: number): LabProcess {
    const name = `${relay}-${media}`;
    const file = join(this.folder, `${name}.xml`);
    const packets = join(this.folder, `${media}.pcap`);
    writeFileSync(packets, media === 'fax' ? faxPackets() : soundPackets());
    writeFileSync(file, callerScenario(relay, media, packets, holdMs));
    const { address, namespace } = this.network.client;
    const at = ['-i', address, '-p', String(SIP_PORT), '-mi', address, '-mp', '20000'];
    const calls = [
      '-m',
      `${count}`,
      '-l',
      `${count}`,
      '-r',
      `${CALLS_PER_SECOND}`,
      '-timeout',
      '60',
      '-timeout_error',
    ];
    const log = ['-nostdin', '-trace_err', '-error_file', join(this.folder, `${name}-errors.log`)];
    const target = `${EDGE_EXTERNAL}:${SIP_PORT}`;
    return this.run('sipp', ['-sf', file, ...at, ...calls, ...log, target], namespace, name);
  }

  /** Asks a relay by the ng protocol. @returns the answer without cookie, as it came */
  ask(address: string, request: string): string {
    // Another cookie each time, or the answer would be the one before.
    this.asked += 1;
    const cookie = `lab${this.asked}`;
    // bash, as it starts so much faster than what else has sockets.
    const program = `exec 3<>/dev/udp/${address}/${NG_PORT}; cat >&3; exec timeout 3 dd bs=65535 count=1 <&3`;
    const { stdout } = execute('bash', ['-c', program], {
      namespace: this.edge,
      input: `${cookie} ${request}`,
    });
    return stdout.slice(cookie.length + 1);
  }

  /** The ends of what all programs have written, and of the callers' errors. */
  logs(): string {
    const errors = readdirSync(this.folder).filter((name) => name.endsWith('-errors.log'));
    const texts = errors.map((name) => readFileSync(join(this.folder, name), 'utf8'));
    texts.push(...this.processes.map((process) => process.log()));
    return texts.map((text) => text.slice(-1500)).join('\n---\n');
  }

  get hosts(): { caller: LabHost; called: LabHost } {
    return { caller: this.network.client, called: this.network.servers[0] };
  }

  async stop(): Promise<void> {
    await Promise.all(this.processes.map((process) => process.stop()));
    removeNamespace(this.edge);
  }
}
