/** The one error of the package. */

/**
 * `code` is stable: that of the server's problem document (RFC 9457), or one of ours: `network` (no answer),
 * `timeout`, `unreadable`, `not_visible`, `unauthorized`, `token_failed`, `job_failed`, `job_cancelled`.
 */
export class HookcastError extends Error {
  override readonly name = "HookcastError";
  declare readonly code: string;
  /** The HTTP status, 0 where there was no answer. */
  declare readonly status: number;
  /** The whole problem document, or fal's error body. */
  declare readonly detail: unknown;

  constructor(code: string, message: string, status = 0, detail: unknown = null) {
    super(message);
    Object.assign(this, { code, status, detail });
  }
}
