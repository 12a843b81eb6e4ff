import java.io.OutputStream;
import java.io.PrintStream;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.WeakHashMap;
import java.util.concurrent.Future;
import java.util.concurrent.FutureTask;

import org.apache.hadoop.hive.conf.HiveConf;
import org.apache.hadoop.hive.metastore.api.FieldSchema;
import org.apache.hadoop.hive.metastore.api.Schema;
import org.apache.hadoop.hive.ql.Driver;
import org.apache.hadoop.hive.ql.log.PerfLogger;
import org.apache.hadoop.hive.ql.metadata.Hive;
import org.apache.hadoop.hive.ql.metadata.HiveException;
import org.apache.hadoop.hive.ql.processors.CommandProcessor;
import org.apache.hadoop.hive.ql.processors.CommandProcessorFactory;
import org.apache.hadoop.hive.ql.processors.CommandProcessorResponse;
import org.apache.hadoop.hive.ql.session.SessionState;
import org.apache.hive.service.cli.ColumnBasedSet;
import org.apache.hive.service.cli.FetchOrientation;
import org.apache.hive.service.cli.HiveSQLException;
import org.apache.hive.service.cli.OperationState;
import org.apache.hive.service.cli.TableSchema;
import org.apache.hive.service.cli.operation.ExecuteStatementOperation;
import org.apache.hive.service.cli.session.HiveSession;
import org.apache.hive.service.rpc.thrift.TRowSet;
import org.apache.hive.service.rpc.thrift.TTableSchema;

/**
 * Runs a statement as HiveServer2 does: compiles it in the handler's thread, and executes it there or, if the client asked for
 * it, in a thread of the background pool.
 */
final class SqlOperation extends ExecuteStatementOperation {
  private static final Map<SessionState, Boolean> STARTED =
      Collections.synchronizedMap(new WeakHashMap<SessionState, Boolean>());
  private final boolean async;
  private volatile Driver driver;
  private Schema schema = new Schema(new ArrayList<FieldSchema>(), null);

  SqlOperation(HiveSession session, String sql, Map<String, String> overlay, boolean async) {
    super(session, sql, overlay, async);
    this.async = async;
  }

  protected void runInternal() throws HiveSQLException {
    setState(OperationState.PENDING);
    final SessionState session = SessionState.get();
    try {
      start(session);
      if (isCommand()) return;
      compile();
    } catch (HiveSQLException e) {
      setState(OperationState.ERROR);
      throw e;
    } catch (Exception e) {
      setState(OperationState.ERROR);
      throw new HiveSQLException("Error running query", e);
    }
    if (async) executeInBackground(session);
    else execute();
  }

  /** Creates the session's scratch folders, which the service layer of these jars leaves out. */
  private static void start(SessionState session) {
    if (STARTED.put(session, Boolean.TRUE) != null) return;
    SessionState.start(session);
    PrintStream nowhere = new PrintStream(OutputStream.nullOutputStream());
    session.out = nowhere;
    session.err = nowhere;
    session.info = nowhere;
  }

  /** Runs SET, ADD, DFS and the like, which are not for the Driver. */
  private boolean isCommand() throws Exception {
    String text = statement.trim();
    String[] words = text.split("\\s+");
    CommandProcessor command = CommandProcessorFactory.getForHiveCommand(words, parentSession.getHiveConf());
    if (command == null) return false;
    setState(OperationState.RUNNING);
    check("processing", command.run(text.substring(words[0].length()).trim()));
    FutureTask<Object> done = new FutureTask<Object>(new Runnable() { public void run() {} }, null);
    done.run();
    setBackgroundHandle(done);
    setState(OperationState.FINISHED);
    return true;
  }

  private void compile() throws HiveSQLException {
    HiveConf conf = parentSession.getHiveConf();
    driver = new Driver(conf, parentSession.getUserName());
    driver.setTryCount(Integer.MAX_VALUE);
    check("compiling", driver.compileAndRespond(statement));
    if (driver.getSchema() != null && driver.getSchema().isSetFieldSchemas()) schema = driver.getSchema();
    setHasResultSet(schema.getFieldSchemasSize() > 0);
  }

  private void executeInBackground(final SessionState session) throws HiveSQLException {
    final Hive hive;
    final PerfLogger times = SessionState.getPerfLogger();
    try {
      hive = Hive.get();
    } catch (HiveException e) {
      throw new HiveSQLException(e);
    }
    setBackgroundHandle(parentSession.getSessionManager().submitBackgroundOperation(new Runnable() {
      public void run() {
        SessionState.setCurrentSessionState(session);
        PerfLogger.setPerfLogger(times);
        Hive.set(hive);
        try {
          execute();
        } catch (HiveSQLException e) {
          setOperationException(e);
        }
      }
    }));
  }

  private void execute() throws HiveSQLException {
    try {
      setState(OperationState.RUNNING);
      check("processing", driver.run());
      setState(OperationState.FINISHED);
    } catch (HiveSQLException e) {
      if (getStatus().getState() != OperationState.CANCELED) setState(OperationState.ERROR);
      throw e;
    } catch (Exception e) {
      if (getStatus().getState() != OperationState.CANCELED) setState(OperationState.ERROR);
      throw new HiveSQLException("Error running query", e);
    }
  }

  private void check(String doing, CommandProcessorResponse response) throws HiveSQLException {
    if (response.getResponseCode() != 0) throw toSQLException("Error while " + doing + " statement", response);
  }

  public void cancel() throws HiveSQLException {
    end(OperationState.CANCELED);
  }

  public void close() throws HiveSQLException {
    end(OperationState.CLOSED);
  }

  private void end(OperationState state) throws HiveSQLException {
    setState(state);
    Future<?> running = getBackgroundHandle();
    if (running != null) running.cancel(true);
    Driver ended = driver;
    driver = null;
    if (ended == null) return;
    ended.close();
    ended.destroy();
  }

  public TTableSchema getResultSetSchema() throws HiveSQLException {
    return new TableSchema(schema).toTTableSchema();
  }

  public TRowSet getNextRowSet(FetchOrientation orientation, long most) throws HiveSQLException {
    assertState(OperationState.FINISHED);
    ColumnBasedSet found = new ColumnBasedSet(new TableSchema(schema));
    List<Object> rows = new ArrayList<Object>();
    try {
      driver.setMaxRows((int) most);
      if (orientation == FetchOrientation.FETCH_FIRST && driver.isFetchingTable()) driver.resetFetch();
      driver.getResults(rows);
    } catch (Exception e) {
      throw new HiveSQLException(e);
    }
    for (int i = 0; i < rows.size(); i++) found.addRow(values(rows.get(i)));
    return found.toTRowSet();
  }

  /** The values of a row, which the Driver returns as text with tabs unless it runs without a result file. */
  private Object[] values(Object row) {
    if (row instanceof Object[]) return (Object[]) row;
    String[] parts = row.toString().split("\t", -1);
    Object[] values = new Object[schema.getFieldSchemasSize()];
    for (int i = 0; i < values.length; i++) {
      String text = i < parts.length ? parts[i] : "NULL";
      String type = ((FieldSchema) schema.getFieldSchemas().get(i)).getType();
      values[i] = text.equals("NULL") ? null : typed(text, type);
    }
    return values;
  }

  private static Object typed(String text, String type) {
    switch (type) {
      case "tinyint": return Byte.valueOf(text);
      case "smallint": return Short.valueOf(text);
      case "int": return Integer.valueOf(text);
      case "bigint": return Long.valueOf(text);
      case "float": case "double": return Double.valueOf(text);
      case "boolean": return Boolean.valueOf(text);
      default: return text;
    }
  }
}
