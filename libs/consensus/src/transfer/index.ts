/** Moving metadata between stores. */
export { openStoreOnDisk } from "../single/open.ts";
export { ExportError, type ExportErrorCode, type ExportOptions, exportStore, snapshotOf } from "./export-store.ts";
export {
  ImportError,
  type ImportErrorCode,
  type Imported,
  type ImportOptions,
  importedContent,
  importStore,
} from "./import-store.ts";
export { ExportFileError, formatExport, type MetadataExport, parseExport } from "./metadata-export.ts";
