import { nullTranslator } from '@jupyterlab/translation';

import { IStatus } from '../api';
import { headline, warningText } from '../headline';
import { Model } from '../model';
import { FakeClock, host, keepAlive, kernel, status } from './samples';

const trans = nullTranslator.load('test');

describe('The headline', () => {
  let clock: FakeClock;
  let model: Model;

  beforeEach(() => {
    clock = new FakeClock();
    model = new Model(clock);
  });

  function say(changes: Partial<IStatus>): string[] {
    model.setStatus(status(changes), clock.monotonic());
    const { kind, text } = headline(model, trans);
    return [kind, text];
  }

  it('counts down to the stop', () => {
    expect(say({})).toEqual(['countdown', 'Stops in 42 min']);
  });

  it('has the clock time in its title', () => {
    model.setStatus(status(), clock.monotonic());
    expect(headline(model, trans).title).toMatch(/42/);
  });

  it('shows seconds and the warning look from the warning on', () => {
    const warning = { since: '', ends_in_seconds: 252, stops_at: '' };
    const warned = host({ warning, stops_in_seconds: 252 });
    expect(say({ host: warned })).toEqual(['warning', 'Stops in 4:12']);
  });

  it('says that a dry run only would stop', () => {
    expect(say({ dry_run: true })[1]).toBe('Would stop in 42 min');
  });

  it('names the one thing at work', () => {
    const active = host({
      verdict: 'active',
      stops_in_seconds: null,
      active: ['train.ipynb']
    });
    const kernels = [kernel({ verdict: 'active' })];
    expect(say({ host: active, kernels })).toEqual([
      'active',
      'Active: train.ipynb'
    ]);
  });

  it('counts what is at work where that is more', () => {
    const active = host({
      verdict: 'active',
      stops_in_seconds: null,
      active: ['train.ipynb', 'b.ipynb', 'python sweep.py']
    });
    const kernels = [
      kernel({ verdict: 'active' }),
      kernel({ verdict: 'active', id: 'b', label: 'b.ipynb' })
    ];
    expect(say({ host: active, kernels })[1]).toBe(
      'Active: 2 kernels, 1 background job'
    );
  });

  it('counts two kernels of one notebook as two', () => {
    const active = host({ stops_in_seconds: null, active: ['train.ipynb'] });
    const kernels = [
      kernel({ verdict: 'active' }),
      kernel({ verdict: 'active', id: 'b' })
    ];
    expect(say({ host: active, kernels })[1]).toBe('Active: 2 kernels');
  });

  it('says until when it is kept awake, by the longest keep-alive', () => {
    const keep_alives = [
      keepAlive(),
      keepAlive({ id: 'k2', ends_in_seconds: 60 }),
      keepAlive({ id: 'k3', ends_in_seconds: 9000, resource: 'kernel:abc' })
    ];
    const [kind, text] = say({ keep_alives });
    expect(kind).toBe('kept');
    expect(text).toMatch(/^Kept awake until .*30/);
  });

  it('tells of the next kernel where the host stays', () => {
    const stays = host({ stop_action: 'none', stops_in_seconds: null });
    const kernels = [
      kernel({ culled_in_seconds: 7080 }),
      kernel({ id: 'later', culled_in_seconds: 9000 })
    ];
    expect(say({ host: stays, kernels })).toEqual([
      'next',
      'Next kernel goes in 1 h 58 min'
    ]);
  });

  it('says when culling is off', () => {
    const policy = {
      ...status().policy,
      kernel_timeout_minutes: null,
      terminal_timeout_minutes: null,
      host_timeout_minutes: null
    };
    const stays = host({ stop_action: 'none', stops_in_seconds: null });
    expect(say({ policy, host: stays })[1]).toBe('Culling off');
  });

  it('asks for attention where the culler is not healthy', () => {
    const problems = [{ source: 'gpu', since: '', detail: 'gone', mend: '' }];
    const health = { status: 'degraded' as const, problems };
    expect(say({ health })).toEqual([
      'attention',
      'Idle culler needs attention'
    ]);
  });

  it('warns even where the culler is not healthy', () => {
    const warning = { since: '', ends_in_seconds: 252, stops_at: '' };
    const warned = host({ warning, stops_in_seconds: 252 });
    const health = { status: 'degraded' as const, problems: [] };
    expect(say({ host: warned, health })[0]).toBe('warning');
  });

  it('says that a stop was refused, and warns of it no more', () => {
    const warning = { since: '', ends_in_seconds: 0, stops_at: '' };
    const due = host({ warning, stops_in_seconds: 0 });
    const gpu = { source: 'gpu', since: '', detail: 'gone', mend: '' };
    const refused = {
      source: 'host',
      since: '',
      detail: 'sagemaker:DeleteApp is not allowed',
      mend: 'add this statement to a policy of the role: {}'
    };
    const health = {
      status: 'unhealthy' as const,
      problems: [gpu, refused]
    };
    expect(say({ host: due, health })).toEqual([
      'attention',
      'Idle culler needs attention'
    ]);
    expect(headline(model, trans).title).toBe(refused.detail);
    expect(model.warned).toBe(false);
    expect(model.failedStop).toBe(refused);
    const ahead = host({ warning, stops_in_seconds: 60 });
    expect(say({ host: ahead, health })[0]).toBe('warning');
    expect(model.failedStop).toBeNull();
  });

  it.each([
    ['absent', 'Idle culler off'],
    ['forbidden', 'Idle culler hidden'],
    ['unreachable', 'Server does not answer'],
    ['waiting', 'Idle culler …']
  ] as const)('is quiet and clear where the server is %s', (state, text) => {
    model.setStatus(status(), clock.monotonic());
    model.setConnection(state);
    const line = headline(model, trans);
    expect(line.text).toBe(text);
    expect(line.seconds).toBeNull();
  });
});

describe('The text of a warning', () => {
  it('says how soon, and since when nothing happened', () => {
    const clock = new FakeClock();
    const model = new Model(clock);
    const warned = status({ host: host({ stops_in_seconds: 300 }) });
    model.setStatus(warned, clock.monotonic());
    expect(warningText(model, warned, trans)).toMatch(
      /^This server stops in 5 minutes, at .*: nothing has run and nobody has worked since .*42/
    );
  });
});
