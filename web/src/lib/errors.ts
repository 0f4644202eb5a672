/** The error type of the package. */

/**
 * A failed request, job or watch, identified by a stable `code`: that of the server's problem document (RFC 9457),
 * `http_<status>` for error responses without one, or a code of the client: `network` (no response), `timeout`,
 * `unreadable`, `not_visible`, `token_failed`, `job_failed`, `job_cancelled`, or those of a page without a connection, such
 * as `origin_not_allowed`, `unreachable` and `not_hookcast`.
 */
export class HookcastError extends Error {
  override readonly name = "HookcastError";
  declare readonly code: string;
  /** The HTTP status, 0 if there was no response. */
  declare readonly status: number;
  /** The whole problem document or, for a failed job, fal's error body. */
  declare readonly detail: unknown;

  constructor(code: string, message: string, status = 0, detail: unknown = null) {
    super(message);
    this.code = code;
    this.status = status;
    this.detail = detail;
  }
}
