import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.Properties;

/**
 * Logs in as often as it is asked to. A line of input is a question in SQL, an address and `key=value` properties,
 * with tabs between; a line of output is `session` with the first value of the answer, or `error` with its SQLSTATE
 * and words.
 */
public class Jdbc {
    public static void main(String[] arguments) throws Exception {
        BufferedReader input = new BufferedReader(new InputStreamReader(System.in));
        for (String line = input.readLine(); line != null; line = input.readLine()) {
            String[] words = line.split("\t");
            Properties properties = new Properties();
            for (int i = 2; i < words.length; i++) {
                int equals = words[i].indexOf('=');
                properties.setProperty(words[i].substring(0, equals), words[i].substring(equals + 1));
            }
            System.out.println(attempt(words[0], words[1], properties).replace('\n', ' '));
            System.out.flush();
        }
    }

    private static String attempt(String question, String address, Properties properties) {
        try (Connection connection = DriverManager.getConnection(address, properties);
                Statement statement = connection.createStatement();
                ResultSet answer = statement.executeQuery(question)) {
            answer.next();
            return "session\t" + answer.getString(1);
        } catch (SQLException problem) {
            return "error\t" + problem.getSQLState() + " " + problem.getMessage();
        }
    }
}
