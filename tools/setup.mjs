// Makes a fresh checkout runnable: checks the platform, installs the Debian packages that the lab
// uses, the npm packages, and compiles. Every step is skipped when its result is already there, so
// it costs a fraction of a second the second time. It runs before anything is installed, hence
// plain JavaScript with no dependency.
// The work is done by a second process under flock(1), with this very file as the lock: two set-ups
// at once run one after the other, a killed one leaves no lock behind, and no file is needed.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  accessSync,
  constants,
  existsSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { argv, env, execPath, exit, platform, stdout, versions } from 'node:process';
import { fileURLToPath } from 'node:url';
import { BUILD_STAMP } from './build.mjs';

const THIS_FILE = fileURLToPath(import.meta.url);

/** The top folder of the repository. */
export const TOP = dirname(dirname(THIS_FILE));

const MINIMUM_NODE = [20, 19];
const SYSTEM_FOLDERS = ['/usr/local/sbin', '/usr/sbin', '/sbin'];
const INSTALL_STAMP = join(TOP, 'node_modules', '.weir-setup-stamp');
const POLICY_FILE = '/usr/sbin/policy-rc.d';
const POLICY_MARK = '# made by the set-up of weir, to be removed by it';

/** The programs that the lab runs, and the Debian package that each comes from. */
export const LAB_PROGRAMS = [
  { program: 'nginx', debianPackage: 'nginx-light' },
  { program: 'wrk', debianPackage: 'wrk' },
  { program: 'dnsmasq', debianPackage: 'dnsmasq-base' },
  { program: 'dig', debianPackage: 'bind9-dnsutils' },
  { program: 'unbound', debianPackage: 'unbound' },
  { program: 'dnsperf', debianPackage: 'dnsperf' },
  { program: 'tshark', debianPackage: 'tshark' },
  { program: 'dumpcap', debianPackage: 'tshark' },
  { program: 'tcpdump', debianPackage: 'tcpdump' },
  { program: 'iperf3', debianPackage: 'iperf3' },
  { program: 'ethtool', debianPackage: 'ethtool' },
  { program: 'curl', debianPackage: 'curl' },
  { program: 'nft', debianPackage: 'nftables' },
  { program: 'ip', debianPackage: 'iproute2' },
  { program: 'ps', debianPackage: 'procps' },
  { program: 'bird', debianPackage: 'bird2' },
  { program: 'ping', debianPackage: 'iputils-ping' },
  { program: 'sshd', debianPackage: 'openssh-server' },
  { program: 'ssh', debianPackage: 'openssh-client' },
  { program: 'prometheus-node-exporter', debianPackage: 'prometheus-node-exporter' },
  { program: 'kamailio', debianPackage: 'kamailio' },
  { program: 'sipp', debianPackage: 'sip-tester' },
  { program: 'rtpengine', debianPackage: 'rtpengine-daemon' },
];

const STREAM_MODULE = '/usr/lib/nginx/modules/ngx_stream_module.so';

/** What the benchmarks set weir beside and measure it with; `file` where it is no program. */
const BENCHMARK_PROGRAMS = [
  { program: 'haproxy', debianPackage: 'haproxy' },
  { file: STREAM_MODULE, debianPackage: 'libnginx-mod-stream' },
  { program: 'h2load', debianPackage: 'nghttp2-client' },
  { program: 'sockperf', debianPackage: 'sockperf' },
  { program: 'clang', debianPackage: 'clang' },
  { program: 'conntrack', debianPackage: 'conntrack' },
];

/** What a step could not do; `advice` is what the user can try next, `output` a program's whole. */
class SetupError extends Error {
  constructor(message, advice, output = '') {
    super(message);
    this.advice = advice;
    this.output = output;
  }
}

/** Whether an executable of this name is on the path or in one of the system's folders. */
export function hasProgram(program) {
  const folders = [...(env.PATH ?? '').split(delimiter), ...SYSTEM_FOLDERS];
  return folders.some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

function checkPlatform() {
  if (platform !== 'linux') {
    throw new SetupError(
      `weir runs on Linux only, this is ${platform}`,
      'Use a Linux machine, virtual machine or container (--privileged).',
    );
  }
  const [major, minor] = versions.node.split('.').map(Number);
  if (major < MINIMUM_NODE[0] || (major === MINIMUM_NODE[0] && minor < MINIMUM_NODE[1])) {
    throw new SetupError(
      `Node ${MINIMUM_NODE.join('.')} or newer is needed, this is ${versions.node}`,
      'Install a newer one from https://nodejs.org or with your version manager.',
    );
  }
  return `Node ${versions.node}`;
}

/** Runs a program. Its output is shown only when it fails, as the end of the error message. */
function runQuietly(program, args, options, advice) {
  const result = spawnSync(program, args, {
    cwd: TOP,
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
    ...options,
  });
  if (result.error) throw new SetupError(`${program}: ${result.error.message}`, advice);
  if (result.status !== 0) {
    const lines = `${result.stdout}${result.stderr}`.trimEnd().split('\n');
    const why = result.signal ?? `exit code ${result.status}`;
    // npm says what is wrong first and then how it can be called, apt-get the other way round.
    const shown = lines.length > 30 ? [...lines.slice(0, 15), '…', ...lines.slice(-15)] : lines;
    const message = `\`${program} ${args.join(' ')}\` failed (${why}):\n${shown.join('\n')}`;
    throw new SetupError(message, advice, lines.join('\n'));
  }
}

function removeOurPolicyFile() {
  if (!existsSync(POLICY_FILE)) return;
  if (readFileSync(POLICY_FILE, 'utf8').includes(POLICY_MARK)) rmSync(POLICY_FILE);
}

/** Debian starts a service when its package is installed, unless this file says that it may not. */
function withServicesHeldBack(action) {
  const ours = !existsSync(POLICY_FILE);
  if (ours) writeFileSync(POLICY_FILE, `#!/bin/sh\n${POLICY_MARK}\nexit 101\n`, { mode: 0o755 });
  // Ctrl-C ends apt-get, which has it too; with a listener here this process lives to tidy up.
  const waitForAptGet = () => {};
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, waitForAptGet);
  try {
    return action();
  } finally {
    if (ours) removeOurPolicyFile();
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.off(signal, waitForAptGet);
  }
}

function aptGet(args) {
  runQuietly(
    'apt-get',
    args,
    { env: { ...env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' } },
    'Check the network and /etc/apt/sources.list, or install the packages by hand.',
  );
}

function missingPrograms(programs) {
  return programs.filter(({ program, file }) => !(file ? existsSync(file) : hasProgram(program)));
}

function packageNames(missing) {
  return [...new Set(missing.map(({ debianPackage }) => debianPackage))].join(' ');
}

/**
 * Installs what the lab needs. Without the right to do so, or without apt-get, it only says what is
 * missing: what needs those programs is then skipped, with that reason. `required` makes that an error.
 */
function installDebianPackages(required, programs) {
  if (process.getuid() === 0) removeOurPolicyFile();
  let missing = missingPrograms(programs);
  if (missing.length === 0) return 'all there';
  const names = packageNames(missing);
  const byHand = `As root: apt-get install --no-install-recommends ${names}`;
  if (process.getuid() !== 0 || !hasProgram('apt-get')) {
    const why = process.getuid() === 0 ? 'there is no apt-get' : 'only root can install them';
    if (required) throw new SetupError(`missing: ${names} (${why})`, byHand);
    return `missing: ${names} (${why}; what needs them is skipped). ${byHand}`;
  }
  let failure;
  try {
    withServicesHeldBack(() => {
      aptGet(['update']);
      aptGet(['install', '-y', '--no-install-recommends', ...names.split(' ')]);
    });
  } catch (error) {
    failure = error;
  }
  // A package whose service could not be configured may still have brought its program, which is
  // all that is wanted of it.
  missing = missingPrograms(programs);
  if (missing.length === 0) return `installed: ${names}`;
  const still = `not installed: ${packageNames(missing)}`;
  if (required) throw failure ?? new SetupError(still, byHand);
  return `${still} (what needs them is skipped). ${failure?.message ?? ''}`;
}

function lockFileHash() {
  const hash = createHash('sha256').update(readFileSync(join(TOP, 'package-lock.json')));
  return hash.update(`${process.platform} ${process.arch}`).digest('hex');
}

/** Whether what npm says it has installed is what the lock file asks for. */
function installedMatchesLockFile() {
  try {
    const read = (...path) => JSON.parse(readFileSync(join(TOP, ...path), 'utf8')).packages;
    const installed = read('node_modules', '.package-lock.json');
    return Object.entries(read('package-lock.json')).every(
      ([path, { version, optional }]) =>
        path === '' || (installed[path] ? installed[path].version === version : optional === true),
    );
  } catch {
    return false;
  }
}

function runNpm(...args) {
  runQuietly(
    'npm',
    [...args, '--ignore-scripts', '--no-audit', '--no-fund'],
    {},
    'Check the network and `npm config get registry`, then run `npm run setup` again.',
  );
}

function installNpmPackages() {
  const wanted = lockFileHash();
  const stamp = existsSync(INSTALL_STAMP) ? readFileSync(INSTALL_STAMP, 'utf8') : '';
  if (stamp === wanted) return 'up to date';
  let outcome = 'up to date';
  // Somebody's own `npm ci` is as good as ours.
  if (stamp !== '' || !installedMatchesLockFile()) {
    outcome = 'installed';
    runNpm('ci');
  }
  writeFileSync(INSTALL_STAMP, wanted);
  return outcome;
}

/** The newest time of change below a path, folders included so that a removed file counts too. */
function newestChangeMs(path) {
  if (!existsSync(path)) return 0;
  const stats = statSync(path);
  if (!stats.isDirectory()) return stats.mtimeMs;
  return readdirSync(path).reduce(
    (newest, name) => Math.max(newest, newestChangeMs(join(path, name))),
    stats.mtimeMs,
  );
}

function compile() {
  const inputs = [
    'src',
    'bench',
    'test/support',
    'tools/build.mjs',
    'tsconfig.json',
    'tsconfig.build.json',
  ];
  const changed = Math.max(
    ...inputs.map((path) => newestChangeMs(join(TOP, path))),
    newestChangeMs(INSTALL_STAMP),
  );
  if (existsSync(BUILD_STAMP) && statSync(BUILD_STAMP).mtimeMs > changed) return 'up to date';
  runQuietly(execPath, [join(TOP, 'tools', 'build.mjs')], {}, 'Mend the type errors above.');
  return 'compiled';
}

function step(name, quiet, action) {
  if (!quiet) stdout.write(`  ${name} … `);
  const start = performance.now();
  const outcome = action();
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  if (!quiet) stdout.write(`${outcome} (${seconds} s)\n`);
}

function runSteps({ packages, quiet, withBenchmarkPrograms }) {
  const programs = withBenchmarkPrograms ? [...LAB_PROGRAMS, ...BENCHMARK_PROGRAMS] : LAB_PROGRAMS;
  try {
    step('platform', quiet, checkPlatform);
    if (packages !== 'no') {
      step('Debian packages', quiet, () => {
        return installDebianPackages(packages === 'required', programs);
      });
    }
    step('npm packages', quiet, installNpmPackages);
    step('compile', quiet, compile);
    return 0;
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    process.stderr.write(`\nset-up failed: ${error.message}\n  → ${error.advice}\n`);
    return 1;
  }
}

/**
 * Runs the set-up, waiting for another one on the same checkout.
 * @param {object} [options]
 * @param {'if-possible' | 'required' | 'no'} [options.packages]
 * @param {boolean} [options.quiet]
 * @param {boolean} [options.withBenchmarkPrograms] install what only the benchmarks need, too
 * @returns {boolean} whether everything is ready; if not, what to do has been printed
 */
export function setUp({
  packages = 'if-possible',
  quiet = false,
  withBenchmarkPrograms = false,
} = {}) {
  const node = [execPath, THIS_FILE, '--locked'];
  if (packages === 'required') node.push('--packages');
  if (packages === 'no') node.push('--no-packages');
  if (quiet) node.push('--quiet');
  if (withBenchmarkPrograms) node.push('--bench');
  const command = hasProgram('flock') ? ['flock', '--close', THIS_FILE, ...node] : node;
  return spawnSync(command[0], command.slice(1), { stdio: 'inherit' }).status === 0;
}

const USAGE = `Usage: node tools/setup.mjs [--packages | --no-packages] [--bench] [--quiet]
  --packages     a Debian package that cannot be installed is an error
  --no-packages  leave the system's packages alone
  --bench        install what only the benchmarks need, too (\`npm run bench\` does)
  --quiet        print only errors
`;

const ARGUMENTS = ['--packages', '--no-packages', '--bench', '--quiet', '--locked'];

function main(args) {
  const unknown = args.find((arg) => !ARGUMENTS.includes(arg));
  if (unknown !== undefined) {
    const asked = ['--help', '-h'].includes(unknown);
    stdout.write(asked ? USAGE : `unknown argument ${unknown}\n${USAGE}`);
    return asked ? 0 : 1;
  }
  let packages = 'if-possible';
  if (args.includes('--packages')) packages = 'required';
  if (args.includes('--no-packages')) packages = 'no';
  const options = {
    packages,
    quiet: args.includes('--quiet'),
    withBenchmarkPrograms: args.includes('--bench'),
  };
  if (args.includes('--locked')) return runSteps(options);
  return setUp(options) ? 0 : 1;
}

if (argv[1] && realpathSync(argv[1]) === THIS_FILE) exit(main(argv.slice(2)));
