import java.util.Map;

import org.apache.hive.service.cli.operation.ExecuteStatementOperation;
import org.apache.hive.service.cli.operation.OperationManager;
import org.apache.hive.service.cli.session.HiveSession;

/** Hive's operation manager, with the operation that runs SQL. */
final class Operations extends OperationManager {
  private final Map<Object, Object> all;

  @SuppressWarnings("unchecked")
  Operations() throws ReflectiveOperationException {
    all = (Map<Object, Object>) LocalHiveServer.field(OperationManager.class, "handleToOperation").get(this);
  }

  public synchronized ExecuteStatementOperation newExecuteStatementOperation(
      HiveSession session, String sql, Map<String, String> overlay, boolean async, long timeout) {
    SqlOperation operation = new SqlOperation(session, sql, overlay, async);
    all.put(operation.getHandle(), operation);
    return operation;
  }
}
