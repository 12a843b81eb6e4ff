import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.lang.reflect.Field;
import javax.security.sasl.AuthenticationException;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import org.apache.hadoop.hive.conf.HiveConf;
import org.apache.hive.service.auth.PasswdAuthenticationProvider;
import org.apache.hive.service.cli.session.SessionManager;
import org.apache.hive.service.server.HiveServer2;

/**
 * A HiveServer2 whose SQL runs in Hive's own Driver.
 *
 * The jars have Hive's service layer (sessions, Thrift, thread pools), but not the operation that runs SQL: Operations adds
 * it. The output of SHOW and DESCRIBE, error messages and log lines are Hive's own.
 *
 * It reads orders as lines of JSON from stdin, answers each with a line on stdout, and exits when stdin ends.
 */
public final class LocalHiveServer {
  private static final ObjectMapper JSON = new ObjectMapper();

  private LocalHiveServer() {}

  public static void main(String[] args) throws Exception {
    PrintStream answers = new PrintStream(System.out, true, "UTF-8");
    System.setOut(System.err);  // Hive prints there, too
    HiveConf conf = new HiveConf(LocalHiveServer.class);
    HiveServer2 server = withOperations();
    server.init(conf);
    server.start();
    Metastore metastore = new Metastore(conf);
    answers.println("{\"ready\": true}");
    BufferedReader orders = new BufferedReader(new InputStreamReader(System.in, "UTF-8"));
    String line;
    while ((line = orders.readLine()) != null) answers.println(answer(metastore, JSON.readTree(line)));
    Runtime.getRuntime().halt(0);  // shutdown hooks would wait for running jobs
  }

  private static String answer(Metastore metastore, JsonNode order) throws Exception {
    ObjectNode answer = JSON.createObjectNode();
    try {
      metastore.obey(order);
    } catch (Exception e) {
      e.printStackTrace();
      answer.put("error", e.toString());
    }
    return JSON.writeValueAsString(answer);
  }

  private static HiveServer2 withOperations() {
    return new HiveServer2() {
      public synchronized void init(HiveConf conf) {
        super.init(conf);
        try {
          Object service = field(HiveServer2.class, "cliService").get(this);
          Object sessions = field(service.getClass(), "sessionManager").get(service);
          Operations operations = new Operations();
          operations.init(conf);
          field(SessionManager.class, "operationManager").set(sessions, operations);
        } catch (ReflectiveOperationException e) {
          throw new IllegalStateException(e);
        }
      }
    };
  }

  static Field field(Class<?> type, String name) throws ReflectiveOperationException {
    Field field = type.getDeclaredField(name);
    field.setAccessible(true);
    return field;
  }

  /** Checks passwords if hive.server2.authentication is CUSTOM: the property testbed.password is right for every user. */
  public static final class Passwords implements PasswdAuthenticationProvider {
    public void Authenticate(String user, String password) throws AuthenticationException {
      if (!System.getProperty("testbed.password").equals(password)) {
        throw new AuthenticationException("Error validating the login");
      }
    }
  }
}
