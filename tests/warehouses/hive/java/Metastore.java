import java.io.PrintWriter;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.ResultSet;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.Iterator;
import java.util.List;
import java.util.Map;

import com.fasterxml.jackson.databind.JsonNode;
import org.apache.hadoop.hive.conf.HiveConf;
import org.apache.hadoop.hive.metastore.RawStore;
import org.apache.hadoop.hive.metastore.RawStoreProxy;
import org.apache.hadoop.hive.metastore.api.Database;
import org.apache.hadoop.hive.metastore.api.FieldSchema;
import org.apache.hadoop.hive.metastore.api.Order;
import org.apache.hadoop.hive.metastore.api.Partition;
import org.apache.hadoop.hive.metastore.api.SerDeInfo;
import org.apache.hadoop.hive.metastore.api.StorageDescriptor;
import org.apache.hadoop.hive.metastore.api.Table;

/**
 * Writes databases and tables into the metastore, below the layer that would replace their times and statistics by its own.
 *
 * Orders are described in launch.py.
 */
final class Metastore {
  private static final String DEFAULT = "default";
  private final HiveConf conf;
  private final RawStore store;

  Metastore(HiveConf conf) throws Exception {
    this.conf = conf;
    store = RawStoreProxy.getProxy(conf, conf, conf.getVar(HiveConf.ConfVars.METASTORE_RAW_STORE_IMPL), 0);
  }

  void obey(JsonNode order) throws Exception {
    String name = order.get("order").asText();
    if (name.equals("empty")) empty();
    else if (name.equals("add")) add(order);
    else if (name.equals("drop")) store.dropTable(order.get("database").asText(), order.get("table").asText());
    else if (name.equals("columns")) columnsOfTheDatabase(order.get("file").asText());
    else throw new IllegalArgumentException(name);
  }

  /** Writes a line for each column that Hive has created in its own database: table, column and type. */
  private void columnsOfTheDatabase(String file) throws Exception {
    Connection connection = DriverManager.getConnection(conf.getVar(HiveConf.ConfVars.METASTORECONNECTURLKEY));
    PrintWriter lines = new PrintWriter(file, "UTF-8");
    ResultSet columns = connection.getMetaData().getColumns(null, null, "%", "%");
    while (columns.next())
      lines.println(columns.getString("TABLE_NAME") + " " + columns.getString("COLUMN_NAME") + " " + columns.getString("TYPE_NAME"));
    lines.close();
    connection.close();
  }

  private void empty() throws Exception {
    List<?> databases = store.getAllDatabases();
    for (int i = 0; i < databases.size(); i++) {
      String database = (String) databases.get(i);
      List<?> tables = store.getAllTables(database);
      for (int n = 0; n < tables.size(); n++) dropTable(database, (String) tables.get(n));
      if (!database.equals(DEFAULT)) store.dropDatabase(database);
    }
  }

  private void dropTable(String database, String table) throws Exception {
    List<?> names = store.listPartitionNames(database, table, (short) -1);
    if (!names.isEmpty()) store.dropPartitions(database, table, strings(names));
    store.dropTable(database, table);
  }

  private static List<String> strings(List<?> values) {
    List<String> found = new ArrayList<String>();
    for (int i = 0; i < values.size(); i++) found.add((String) values.get(i));
    return found;
  }

  private void add(JsonNode order) throws Exception {
    for (Iterator<?> each = order.get("databases").elements(); each.hasNext();) {
      JsonNode found = (JsonNode) each.next();
      String name = found.get("name").asText();
      store.createDatabase(new Database(name, text(found, "comment"), location(name, ""), new HashMap<String, String>()));
    }
    for (Iterator<?> each = order.get("tables").elements(); each.hasNext();) addTable((JsonNode) each.next());
  }

  private void addTable(JsonNode node) throws Exception {
    Table table = new Table();
    table.setDbName(node.get("database").asText());
    table.setTableName(node.get("name").asText());
    table.setTableType(node.get("type").asText());
    table.setOwner(node.get("owner").asText());
    table.setCreateTime(node.get("created").asInt());
    table.setParameters(map(node.get("parameters")));
    table.setPartitionKeys(columns(node.get("partition_keys")));
    table.setSd(storage(node, "/" + table.getTableName()));
    if (node.hasNonNull("text")) {
      table.setViewOriginalText(node.get("text").asText());
      table.setViewExpandedText(node.get("expanded_text").asText());
      table.setRewriteEnabled(false);
    }
    store.createTable(table);
    for (Iterator<?> each = node.get("partitions").elements(); each.hasNext();) addPartition(node, (JsonNode) each.next());
  }

  private void addPartition(JsonNode table, JsonNode node) throws Exception {
    List<String> values = new ArrayList<String>();
    for (Iterator<?> each = node.get("values").elements(); each.hasNext();) values.add(((JsonNode) each.next()).asText());
    String folder = "/" + table.get("name").asText() + "/" + values.get(0);
    int created = node.get("created").asInt();
    store.addPartition(new Partition(values, table.get("database").asText(), table.get("name").asText(), created, 0,
        storage(table, folder), map(node.get("parameters"))));
  }

  /** As CREATE TABLE and CREATE VIEW store it: a view has no location and no SerDe. */
  private static StorageDescriptor storage(JsonNode node, String folder) {
    boolean isView = node.hasNonNull("text");
    Map<String, String> serdeParameters = new HashMap<String, String>();
    if (!isView) serdeParameters.put("serialization.format", "1");
    String serde = isView ? null : "org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe";
    StorageDescriptor storage = new StorageDescriptor();
    storage.setCols(columns(node.get("columns")));
    storage.setLocation(isView ? null : location(node.get("database").asText(), folder));
    storage.setInputFormat("org.apache.hadoop.mapred.TextInputFormat");
    storage.setOutputFormat("org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat");
    storage.setNumBuckets(-1);
    storage.setSerdeInfo(new SerDeInfo(null, serde, serdeParameters));
    storage.setBucketCols(new ArrayList<String>());
    storage.setSortCols(new ArrayList<Order>());
    storage.setParameters(new HashMap<String, String>());
    return storage;
  }

  private static String location(String database, String folder) {
    return "file:" + System.getProperty("testbed.warehouse") + "/" + database + ".db" + folder;
  }

  private static List<FieldSchema> columns(JsonNode nodes) {
    List<FieldSchema> found = new ArrayList<FieldSchema>();
    for (Iterator<?> each = nodes.elements(); each.hasNext();) {
      JsonNode node = (JsonNode) each.next();
      found.add(new FieldSchema(node.get("name").asText(), node.get("type").asText(), text(node, "comment")));
    }
    return found;
  }

  private static Map<String, String> map(JsonNode node) {
    Map<String, String> found = new HashMap<String, String>();
    for (Iterator<?> each = node.fieldNames(); each.hasNext();) {
      String key = (String) each.next();
      found.put(key, node.get(key).asText());
    }
    return found;
  }

  private static String text(JsonNode node, String name) {
    return node.hasNonNull(name) ? node.get(name).asText() : null;
  }
}
