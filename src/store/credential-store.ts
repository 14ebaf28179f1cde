// WhatsApp credentials as the store keeps them: sealed bytes only; the vault above seals and opens them.

/** Baileys' creds have type `creds` and id `''`; Signal keys have Baileys' own type names. */
export interface SealedEntry {
  type: string
  id: string
  /** null deletes. */
  value: Uint8Array | null
}

/** The session's data key, wrapped by a master key. */
export interface WrappedDataKey {
  masterKeyId: string
  wrapped: Uint8Array
}

export interface CredentialStore {
  readDataKey(sessionId: string): Promise<WrappedDataKey | null>
  /** Missing ids are absent from the map. */
  read(sessionId: string, type: string, ids: string[]): Promise<Map<string, Uint8Array>>
  /**
   * All entries or none, in one transaction whose first statement refuses an epoch that is not the stored one.
   * `dataKey` is stored when the session has none yet (first write); a different one already there → `conflict`.
   * @throws AppError `stale_epoch`, `conflict`
   */
  write(sessionId: string, epoch: number, entries: SealedEntry[], dataKey?: WrappedDataKey): Promise<void>
  /** Everything of the session, the data key too. @throws AppError `stale_epoch` */
  erase(sessionId: string, epoch: number): Promise<void>
  /** Sessions whose data key is wrapped by another master key than this one, in id order. */
  listWrappedByOthers(
    masterKeyId: string,
    limit: number,
    afterSessionId?: string,
  ): Promise<{ sessionId: string; dataKey: WrappedDataKey }[]>
  /** Compare-and-set on the old master key id. */
  rewrap(sessionId: string, oldMasterKeyId: string, next: WrappedDataKey): Promise<boolean>
}
