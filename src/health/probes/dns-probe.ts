// Health check by DNS over UDP: one query; the answer must bear its id and its question, and NOERROR.
// With `expect-address` one of the answer's A or AAAA records must be that address. RFC 1035.
// Datagrams that do not belong to the question are passed over until the timeout: they may come from
// anybody. No query is sent twice within a check: `fall` is what forgives a lost datagram.

import { randomInt } from 'node:crypto';
import { plain } from '../words.ts';
import { askByDatagram } from './datagram.ts';
import { comparableAddress, type DnsAnswer, encodeQuery, readAnswer } from './dns-message.ts';
import { failed, type Probe, type ProbeResult, passed } from './probe.ts';

export const probeDns: Probe = (target, finish) => {
  const { query = '.', record, expectAddress } = target.settings;
  const question = encodeQuery(randomInt(0x10000), query, record);
  let strangers = 0;
  return askByDatagram(target, question, finish, {
    take(message) {
      const answer = readAnswer(message, question);
      if (answer !== 'foreign') return judge(answer, expectAddress);
      strangers++;
      return undefined;
    },
    expire(within) {
      const said = strangers > 0 ? ` that fits the question (${strangers} did not)` : '';
      return failed(`no answer${said} within ${within}`);
    },
  });
};

function judge(answer: DnsAnswer, expectAddress: string | undefined): ProbeResult {
  if (answer.responseCode !== 0) return failed(`answered ${answer.responseName}`);
  if (expectAddress === undefined) return passed(`answered NOERROR, ${answer.answers} records`);
  const isThere = answer.addresses.includes(comparableAddress(expectAddress));
  if (isThere) return passed(`answered ${expectAddress}`);
  const found = answer.addresses.length === 0 ? 'no address' : answer.addresses.join(' ');
  return failed(plain(`answered ${found}, wanted ${expectAddress}`));
}
