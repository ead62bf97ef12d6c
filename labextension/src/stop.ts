/** Goes through a stop with the page: save, answer, wait, and say plainly that it was stopped. */

import { IDisposable } from '@lumino/disposable';
import { ISignal, Signal } from '@lumino/signaling';

import { IResource } from './api';
import { Client } from './client';
import { IClock } from './clock';
import { IDecisionEvent } from './events';
import { IStop } from './model';
import { ISavable, ISaved, saveAll, unsavedNames } from './saving';

/** While a stop is under way the server is asked this often whether it is still there. */
const PROBE_MS = 2000;
/** Below so many seconds of idleness a stop was asked for, not due. */
const ASKED_SECONDS = 1;

/** So many culled kernels and terminals are remembered. */
const REMEMBERED = 1000;

/** A kernel or terminal that the culler ended. */
interface IEnded {
  kind: IDecisionEvent['kind'];
  id: string;
  /** On the wall clock, in milliseconds. */
  at: number;
}

/** Watches for a stop, from its announcement to the silence after it. */
export class StopWatcher implements IDisposable {
  constructor(
    private readonly _client: Client,
    private readonly _page: string,
    private readonly _documents: () => Iterable<ISavable>,
    private readonly _clock: IClock
  ) {
    _client.decided.connect(this._onDecision, this);
    _client.connected.connect(this._onConnected, this);
    _client.model.changed.connect(this._onModel, this);
  }

  /** Emitted with the reason when a stop that was announced did not come. */
  get cameToNothing(): ISignal<this, string> {
    return this._cameToNothing;
  }

  get isDisposed(): boolean {
    return this._isDisposed;
  }

  /** Stop watching. */
  dispose(): void {
    if (!this._isDisposed) {
      this._isDisposed = true;
      window.clearTimeout(this._probe);
      Signal.clearData(this);
    }
  }

  /** Save all documents with unsaved changes; they count for the stop that comes next. */
  async save(): Promise<ISaved> {
    const { saved, failed } = await saveAll(this._documents());
    this._saved += saved;
    this._failed = failed;
    if (this._client.model.stop !== null) {
      this._update({}); // it may have stopped before this ended
    }
    return { saved: this._saved, failed };
  }

  /** A person of this page has asked for the stop. */
  asked(): void {
    this._begin(null, null);
    this._advance('stopping');
    this._probeSoon();
  }

  /** The server has gone while a stop was under way. */
  gone(): void {
    if (this._client.model.stop !== null) {
      this._advance('stopped');
    }
  }

  /** The stop does not come: the page goes back to normal. */
  withdrawn(): void {
    window.clearTimeout(this._probe);
    this._saved = 0;
    this._failed = [];
    if (this._client.model.stop !== null) {
      this._client.model.setStop(null);
    }
  }

  private _onDecision(_: unknown, decision: IDecisionEvent): void {
    if (decision.action === 'cull' && decision.stage === 'done') {
      const { kind, resource, time } = decision;
      this._ended.push({ kind, id: resource, at: Date.parse(time) });
      this._ended.splice(0, Math.max(0, this._ended.length - REMEMBERED));
    }
    if (decision.action !== 'stop' || decision.kind !== 'host') {
      return;
    }
    switch (decision.stage) {
      case 'decided':
        void this._onDecided(decision);
        break;
      case 'done':
        this.gone();
        break;
      case 'failed':
      case 'withdrawn':
        if (this._client.model.stop !== null) {
          this._cameToNothing.emit(decision.detail || decision.reason);
        }
        this.withdrawn();
        void this._client.refresh();
    }
  }

  private async _onDecided(decision: IDecisionEvent): Promise<void> {
    const { model } = this._client;
    if (model.status?.dry_run) {
      return; // nothing is stopped, and nobody waits for an answer
    }
    const since = decision.idle_since;
    const seconds =
      since === null
        ? 0
        : (Date.parse(decision.time) - Date.parse(since)) / 1000;
    if (model.stop === null) {
      this._begin(seconds < ASKED_SECONDS ? null : seconds, since);
    }
    await this._answer(await this.save());
    this._advance('stopping');
    this._probeSoon();
  }

  /** Tell the server that it need not wait for this page any longer. */
  private async _answer({ saved, failed }: ISaved): Promise<void> {
    const { api, model } = this._client;
    if (model.status?.may.write === false) {
      return;
    }
    try {
      await api.page({ page: this._page, open: true, saved, failed });
    } catch {
      // It stops all the same once its patience has ended.
    }
  }

  private _begin(
    idleSeconds: number | null,
    since: string | null,
    presumedAt: Date | null = null
  ): void {
    const { model } = this._client;
    const { kernels = [], terminals = [] } = model.status ?? {};
    model.setStop({
      stage: 'saving',
      presumed: presumedAt !== null,
      at: presumedAt?.getTime() ?? this._clock.wall(),
      idleSeconds,
      kernels: this._count('kernel', kernels, since),
      terminals: this._count('terminal', terminals, since),
      saved: 0,
      failed: []
    });
  }

  /** Count what goes with the stop, and what went before it for the same idleness. */
  private _count(
    kind: IDecisionEvent['kind'],
    living: readonly IResource[],
    since: string | null
  ): number {
    const from = since === null ? Infinity : Date.parse(since);
    const ended = this._ended.filter(
      each => each.kind === kind && each.at >= from
    );
    return new Set([...living, ...ended].map(each => each.id)).size;
  }

  private _advance(stage: IStop['stage']): void {
    const { stop } = this._client.model;
    if (stop !== null && stop.stage !== 'stopped') {
      this._update({ stage });
    }
  }

  /** Tell the model what is new of the stop, and what became of the documents. */
  private _update(changes: Partial<IStop>): void {
    const { model } = this._client;
    if (model.stop !== null) {
      const next = { ...model.stop, ...changes, saved: this._saved };
      const failed =
        next.stage === 'stopped' ? unsavedNames(this._documents()) : [];
      model.setStop({
        ...next,
        failed: [...new Set([...this._failed, ...failed])]
      });
    }
  }

  /** The server answers again: it was started anew, and may be stopped anew. */
  private _onConnected(): void {
    if (this._client.model.stop?.stage === 'stopped') {
      this.withdrawn();
    }
  }

  private _probeSoon(): void {
    window.clearTimeout(this._probe);
    this._probe = window.setTimeout(() => {
      if (this._client.model.stop?.stage === 'stopping') {
        void this._client.refresh().then(() => this._probeSoon());
      }
    }, PROBE_MS);
  }

  /** The silence after a stop was announced, or was due, is the stop. */
  private _onModel(): void {
    const { connection, overdueSince, stop } = this._client.model;
    if (connection !== 'unreachable') {
      return;
    }
    if (stop !== null) {
      this.gone();
    } else if (overdueSince !== null) {
      this._begin(null, null, overdueSince);
      this._advance('stopped');
    }
  }

  private readonly _cameToNothing = new Signal<this, string>(this);
  private readonly _ended: IEnded[] = [];
  private _saved = 0;
  private _failed: string[] = [];
  private _probe = 0;
  private _isDisposed = false;
}
